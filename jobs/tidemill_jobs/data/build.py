"""The job `build_dataset`: sources and feedback in, one immutable dataset version out."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tidemill_core.domain.dataset import DatasetVersion, Outcome, outcome_of
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_core.text_hash import load_text_key
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.clean import Recipe
from tidemill_jobs.data.dataset import EXAMPLE_COLUMNS, QUARANTINE_COLUMNS, Content, publish
from tidemill_jobs.data.decide import Decided, decide
from tidemill_jobs.data.dvc_tracking import track
from tidemill_jobs.data.hashing import text_key
from tidemill_jobs.data.intake import Intake, Segment
from tidemill_jobs.data.labeling_file import load_labeling_file
from tidemill_jobs.data.parquet import remove_left_over
from tidemill_jobs.data.platform import FEEDBACK, LABELS, platform_rows
from tidemill_jobs.data.prepare import Prepared, Workshop
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.stock import Stock
from tidemill_jobs.data.weak_labels import WeakLabels
from tidemill_jobs.feedback.examples import FeedbackExamples, feedback_examples
from tidemill_jobs.feedback.labels import label_examples

RECIPE_SETTINGS = ("max_text_length", "min_text_length", "redact", "near_duplicate_similarity")
"""The task's settings that decide what becomes of a row."""


@dataclass(frozen=True)
class _Build:
    """A version, and the figures of the run that made it."""

    version: DatasetVersion
    feedback: FeedbackExamples
    warnings: tuple[str, ...]
    labeling_functions: Sequence[Mapping[str, Any]]


def run(context: JobContext) -> Result:
    """Build the task's dataset version from all that is there now.

    Returns:
        Its id and its rows' whereabouts: `rows_in` is what the counts by outcome add up to.
        Feedback that gives no example is counted apart: it is no row.

    Raises:
        DataError: a source cannot be used, too many of its rows break a rule, or it leaves fewer
            than two labels to tell apart; or a labelling function fails.
        ConfigurationError: labelling functions are declared, and Snorkel is not installed.
        RunCancelled: somebody asked the run to stop; nothing is published.
    """
    built = _build(context)
    version = built.version
    return {
        "dataset_version": version.dataset_version,
        "rows_in": sum(version.outcome_counts.values()),
        **{f"rows_{outcome}": count for outcome, count in version.outcome_counts.items()},
        "set_aside_by_rule": dict(version.quarantine_counts),
        "row_counts": dict(version.row_counts),
        "label_source_counts": dict(version.label_source_counts),
        "labeling_functions": list(built.labeling_functions),
        "feedback_without_label": built.feedback.without_label,
        "feedback_without_prediction": built.feedback.without_prediction,
        "feedback_without_text": built.feedback.without_text,
        "warnings": list(built.warnings),
    }


def build(context: JobContext) -> DatasetVersion:
    """What `run` does, for jobs that go on with the version.

    Raises:
        DataError: as `run`.
        ConfigurationError: as `run`.
        RunCancelled: as `run`.
    """
    return _build(context).version


def _build(context: JobContext) -> _Build:
    state, task = context.settings.state_dir, context.task
    intake = Intake(state / "intake" / task, _erased(context))
    with intake.locked(context.progress):
        for place in ("prepared", "datasets"):
            remove_left_over(state / place / task)
        feedback, segments = _land(context, intake)
        content = assemble(context, segments)
        context.progress(0.8, "writes the dataset version")
        newest, _ = context.storage.datasets.page(task, Page(size=1))
        parents = tuple(version.dataset_version for version in newest)
        version = publish(content, state / "datasets", parents, context.clock())
        context.storage.datasets.add(version)
    warning = track(version, Path.cwd())
    warnings = (warning,) if warning else ()
    return _Build(version, feedback, warnings, content.labeling_functions)


def assemble(context: JobContext, segments: list[Segment]) -> Content:
    """What a version of these segments is made of, by the settings of the context's task.

    Raises:
        DataError: TOO_FEW_LABELS, TOO_MANY_QUARANTINED, INTAKE_DAMAGED or NOT_WRITTEN.
        RunCancelled: somebody asked the run to stop.
    """
    stock = Stock(list(_prepare(context, segments)))
    context.progress(0.6, "decides what to keep")
    similarity = context.task_settings.near_duplicate_similarity
    weak = _weak_labels(context)
    label_texts = _no_labels if weak is None else weak.label_texts
    decided = decide(stock, similarity, _keys(_erased(context)), label_texts)
    return _content(context, segments, stock, decided, weak)


def _weak_labels(context: JobContext) -> WeakLabels | None:
    path = context.task_settings.labeling_functions
    return None if path is None else WeakLabels(load_labeling_file(path), context.progress)


def _land(context: JobContext, intake: Intake) -> tuple[FeedbackExamples, list[Segment]]:
    """Bring in what is new; all segments of the sources that are declared now."""
    segments: list[Segment] = []
    context.progress(0.0, "reads the sources")
    for settings in context.task_settings.sources:
        source = open_source(settings)
        intake.land(source, context.progress)
        segments += intake.segments(source.name)
    context.progress(0.3, "reads the feedback")
    text_key = load_text_key(context.settings.state_dir)
    trust = context.settings.feedback.trust
    feedback = feedback_examples(context.storage, context.task, text_key, trust)
    intake.land_snapshot(FEEDBACK, platform_rows([*feedback.examples, *feedback.quarantined]))
    intake.land_snapshot(LABELS, platform_rows(label_examples(context.storage, context.task)))
    return feedback, segments + intake.segments(FEEDBACK) + intake.segments(LABELS)


def _prepare(context: JobContext, segments: list[Segment]) -> Iterator[Prepared]:
    prepares = workshop(context)
    for done, segment in enumerate(segments):
        context.progress(0.3 + 0.3 * done / len(segments), "cleans and measures texts")
        yield prepares.prepare(segment)


def workshop(context: JobContext) -> Workshop:
    """What prepares the segments of the run's task."""
    return Workshop(context.settings.state_dir / "prepared" / context.task, _recipe(context))


def _recipe(context: JobContext) -> Recipe:
    settings = context.task_settings
    return Recipe(settings.max_text_length, settings.min_text_length, tuple(settings.redact))


def _content(
    context: JobContext,
    segments: list[Segment],
    stock: Stock,
    decided: Decided,
    weak: WeakLabels | None,
) -> Content:
    set_aside = _set_aside(stock, decided.set_aside)
    counts = _source_counts(stock, decided)
    _check_share(set_aside, counts, context.task_settings.max_quarantine_share)
    labels = decided.kept["label"].unique()
    if len(labels) < 2:
        told = f"only the label {labels[0]!r}" if len(labels) else "no example"
        raise DataError("TOO_FEW_LABELS", f"task {context.task!r}: its sources leave {told}")
    recipe = {
        "settings": context.task_settings.model_dump(mode="json", include=set(RECIPE_SETTINGS)),
        "steps": [step.name for step in _recipe(context).steps],
        "segments": {segment.source: segment.number for segment in segments},
        "labeling_functions": None if weak is None else weak.source,
    }
    examples = _examples(stock, decided.kept)
    report = () if weak is None else weak.report(examples)
    return Content(context.task, examples, set_aside, counts, recipe, report)


def _examples(stock: Stock, kept: pl.DataFrame) -> pl.DataFrame:
    beside = stock.gather(kept["number"], ["text", "annotator", "origin", "text_hash"])
    rows = pl.concat([kept.drop("number"), beside], how="horizontal")
    rows = rows.with_columns(
        pl.col("label_source").cast(pl.String), pl.col("annotator").fill_null("")
    )
    return rows.select(list(EXAMPLE_COLUMNS)).sort("text_hash")


def _set_aside(stock: Stock, aside: pl.DataFrame) -> pl.DataFrame:
    beside = stock.gather(aside["number"], ["origin", "value", "label", "text_hash"])
    rules = aside["rule"].unique()
    outcomes = {rule: str(outcome_of(rule)) for rule in rules}
    return (
        pl.concat([aside, beside], how="horizontal")
        .select(
            source=stock.source_of(aside["number"]),
            origin="origin",
            rule="rule",
            outcome=pl.col("rule").replace_strict(outcomes, return_dtype=pl.String),
            value=pl.coalesce("value", "label", pl.lit("")),
            text_hash="text_hash",
        )
        .select(list(QUARANTINE_COLUMNS))
    )


def _source_counts(stock: Stock, decided: Decided) -> dict[str, dict[str, int]]:
    rules = decided.set_aside["rule"].unique()
    outcomes = {rule: str(outcome_of(rule)) for rule in rules}
    kept = decided.kept.select("number", outcome=pl.lit(str(Outcome.KEPT)))
    aside = decided.set_aside.select(
        "number", outcome=pl.col("rule").replace_strict(outcomes, return_dtype=pl.String)
    )
    rows = pl.concat([kept, aside])
    counted = (
        rows.with_columns(source=stock.source_of(rows["number"]))
        .group_by("source", "outcome")
        .len()
    )
    counts: dict[str, dict[str, int]] = {}
    for source, outcome, count in counted.sort("source", "outcome").iter_rows():
        counts.setdefault(source, {})[outcome] = count
    return counts


def _check_share(
    set_aside: pl.DataFrame, counts: Mapping[str, Mapping[str, int]], share: float
) -> None:
    """Raises DataError TOO_MANY_QUARANTINED."""
    total = sum(sum(outcomes.values()) for outcomes in counts.values())
    bad = set_aside.filter(pl.col("outcome") == str(Outcome.QUARANTINED))
    if len(bad) <= share * total:
        return
    worst = bad["rule"].value_counts(sort=True).head(3)
    told = ", ".join(f"{rule} {count}" for rule, count in worst.iter_rows())
    first = bad.row(0, named=True)
    raise DataError(
        "TOO_MANY_QUARANTINED",
        f"{len(bad)} of {total} rows break a rule ({told}), more than max_quarantine_share = "
        f"{share}: the first is {first['origin']}: {first['value']!r}. Nothing was published; "
        "mend the source, or raise the share",
    )


def _erased(context: JobContext) -> Set[str]:
    """The hashes of the task's texts that must not be kept."""
    return {erasure.text_hash for erasure in context.storage.erasures.of_task(context.task)}


def _keys(hashes: Set[str]) -> pl.Series:
    return (
        pl.DataFrame({"hash": list(hashes)}, schema={"hash": pl.String})
        .select(text_key(pl.col("hash")))
        .to_series()
    )


def _no_labels(texts: pl.Series) -> pl.DataFrame:
    unknown = pl.Series([None], dtype=pl.String).new_from_index(0, len(texts))
    return pl.DataFrame({"label": unknown, "weight": pl.repeat(1.0, len(texts), eager=True)})
