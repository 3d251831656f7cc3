"""From what landed to what a dataset version is made of: prepare, decide, explain."""

import hashlib
import json
from collections.abc import Iterator, Set

import polars as pl

from tidemill_core.domain.dataset import Outcome, outcome_of
from tidemill_core.errors import DataError
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.deciding.decide import Decided, decide
from tidemill_jobs.data.deciding.decision_cache import NOTHING_KNOWN, read_known, write_known
from tidemill_jobs.data.deciding.prepared_rows import Stock
from tidemill_jobs.data.deciding.quarantine_share import check_share
from tidemill_jobs.data.deciding.weak_labels.functions_file import load_labeling_file
from tidemill_jobs.data.deciding.weak_labels.weak_labels import WeakLabels
from tidemill_jobs.data.landing.intake import Segment
from tidemill_jobs.data.preparing.clean import Recipe
from tidemill_jobs.data.preparing.prepare import Prepared, Workshop
from tidemill_jobs.data.publishing.dataset import EXAMPLE_COLUMNS, QUARANTINE_COLUMNS, Content
from tidemill_jobs.data.text_hashing import text_key

RECIPE_SETTINGS = ("max_text_length", "min_text_length", "redact", "near_duplicate_similarity")
"""The task's settings that decide what becomes of a row."""


def assemble(context: JobContext, segments: list[Segment]) -> Content:
    """What a version of these segments is made of, by the settings of the context's task.

    Raises:
        DataError: TOO_FEW_LABELS, TOO_MANY_QUARANTINED, INTAKE_DAMAGED or NOT_WRITTEN.
        RunCancelled: somebody asked the run to stop.
    """
    if not segments:
        raise _too_few_labels(context, "no example")
    prepared = list(_prepare(context, segments))
    context.progress(0.6, "decides what to keep")
    stock = Stock(prepared)
    weak = _weak_labels(context)
    decided = _decide(context, prepared, stock, weak)
    return _content(context, segments, stock, decided, weak)


def erased_hashes(context: JobContext) -> Set[str]:
    """The hashes of the task's texts that must not be kept, in all forms that are known."""
    erasures = context.storage.erasures.of_task(context.task)
    return {text_hash for erasure in erasures for text_hash in erasure.hashes}


def workshop(context: JobContext) -> Workshop:
    """What prepares the segments of the run's task."""
    return Workshop(
        context.settings.state_dir / "prepared" / context.task, Recipe.of(context.task_settings)
    )


def _weak_labels(context: JobContext) -> WeakLabels | None:
    path = context.task_settings.labeling_functions
    return None if path is None else WeakLabels(load_labeling_file(path), context.progress)


def _prepare(context: JobContext, segments: list[Segment]) -> Iterator[Prepared]:
    prepares = workshop(context)
    for done, segment in enumerate(segments):
        context.progress(0.3 + 0.3 * done / len(segments), "cleans and measures texts")
        yield prepares.prepare(segment)


def _decide(
    context: JobContext, prepared: list[Prepared], stock: Stock, weak: WeakLabels | None
) -> Decided:
    similarity = context.task_settings.near_duplicate_similarity
    erased = sorted(erased_hashes(context))
    if weak is not None:
        # A row more may change the weight of a labelling function, and so any row's label.
        return decide(stock, NOTHING_KNOWN, similarity, _keys(erased), weak.label_texts)
    path = workshop(context).decided
    depends_on = hashlib.sha256(json.dumps([similarity, erased]).encode()).hexdigest()
    known = read_known(path, depends_on, prepared)
    decided = decide(stock, known, similarity, _keys(erased), _no_labels)
    write_known(path, depends_on, prepared, decided.known)
    return decided


def _content(
    context: JobContext,
    segments: list[Segment],
    stock: Stock,
    decided: Decided,
    weak: WeakLabels | None,
) -> Content:
    set_aside = _set_aside(stock, decided.set_aside)
    counts = _source_counts(stock, decided)
    check_share(context, segments, stock, decided)
    labels = decided.kept["label"].unique()
    if len(labels) < 2:
        told = f"only the label {labels[0]!r}" if len(labels) else "no example"
        raise _too_few_labels(context, told)
    recipe = {
        "settings": context.task_settings.model_dump(mode="json", include=set(RECIPE_SETTINGS)),
        "steps": [step.name for step in Recipe.of(context.task_settings).steps],
        "segments": {segment.source: segment.number for segment in segments},
        "labeling_functions": None if weak is None else weak.source,
    }
    examples = _examples(stock, decided.kept)
    report = () if weak is None else weak.report(examples)
    return Content(context.task, examples, set_aside, counts, recipe, report)


def _too_few_labels(context: JobContext, told: str) -> DataError:
    return DataError("TOO_FEW_LABELS", f"task {context.task!r}: its sources leave {told}")


def _examples(stock: Stock, kept: pl.DataFrame) -> pl.DataFrame:
    beside = stock.gather(kept["number"], ["text", "annotator", "origin", "text_hash"])
    rows = pl.concat([kept.drop("number"), beside], how="horizontal")
    rows = rows.with_columns(
        pl.col("label_source").cast(pl.String), pl.col("annotator").fill_null("")
    )
    # One row has each key, the beginning of the hash; and numbers are sorted five times as quickly.
    return rows.select(list(EXAMPLE_COLUMNS)).sort(text_key(pl.col("text_hash")))


def _set_aside(stock: Stock, aside: pl.DataFrame) -> pl.DataFrame:
    beside = stock.gather(aside["number"], ["origin", "value", "label", "text_hash"])
    return (
        pl.concat([aside, beside], how="horizontal")
        .select(
            source=stock.source_of(aside["number"]),
            origin="origin",
            rule="rule",
            outcome=_outcomes(aside["rule"]),
            value=pl.coalesce("value", "label", pl.lit("")),
            text_hash="text_hash",
        )
        .select(list(QUARANTINE_COLUMNS))
    )


def _source_counts(stock: Stock, decided: Decided) -> dict[str, dict[str, int]]:
    kept = decided.kept.select("number", outcome=pl.lit(str(Outcome.KEPT)))
    aside = decided.set_aside.select("number", outcome=_outcomes(decided.set_aside["rule"]))
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


def _outcomes(rules: pl.Series) -> pl.Series:
    """What the rules that set rows aside make of them."""
    known = {rule: str(outcome_of(rule)) for rule in rules.unique()}
    return rules.replace_strict(known, return_dtype=pl.String)


def _keys(hashes: list[str]) -> pl.Series:
    return (
        pl.DataFrame({"hash": hashes}, schema={"hash": pl.String})
        .select(text_key(pl.col("hash")))
        .to_series()
    )


def _no_labels(texts: pl.DataFrame) -> pl.DataFrame:
    unknown = pl.Series([None], dtype=pl.String).new_from_index(0, len(texts))
    return pl.DataFrame({"label": unknown, "weight": pl.repeat(1.0, len(texts), eager=True)})
