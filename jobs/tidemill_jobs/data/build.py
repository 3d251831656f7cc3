"""The job `build_dataset`: sources and feedback in, one immutable dataset version out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.example import QuarantinedRow
from tidemill_core.errors import DataError
from tidemill_core.text_hash import load_text_key
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.clean import clean
from tidemill_jobs.data.dataset import Content, publish
from tidemill_jobs.data.deduplicate import deduplicate
from tidemill_jobs.data.rows import count_by_rule
from tidemill_jobs.data.sources import SourceRows, read_csv
from tidemill_jobs.data.split import place
from tidemill_jobs.feedback.examples import FeedbackExamples, feedback_examples

_Item = TypeVar("_Item")
_Passed = TypeVar("_Passed")

NOT_BAD = ("CORRECTED", "DUPLICATE", "LEFT_OUT_HELD_OUT")
"""Rules that set aside rows with nothing wrong with them."""


@dataclass(frozen=True)
class _Build:
    """A version, and the figures of the run that made it."""

    version: DatasetVersion
    rows_in: int
    rows_kept: int
    set_aside: Mapping[str, int]
    feedback: FeedbackExamples


def run(context: JobContext) -> Result:
    """Build the task's dataset version from all that is there now.

    Returns:
        Its id and its rows' whereabouts: `rows_in` is `rows_kept`, `duplicates`, `corrected`,
        `left_out_held_out` and `quarantined` together. Feedback that gives no example is
        counted apart: it is no row.

    Raises:
        DataError: a source cannot be used, or leaves fewer than two labels to tell apart.
        RunCancelled: somebody asked the run to stop; nothing is published.
    """
    built = _build(context)
    bad = {rule: count for rule, count in built.set_aside.items() if rule not in NOT_BAD}
    return {
        "dataset_version": built.version.dataset_version,
        "rows_in": built.rows_in,
        "rows_kept": built.rows_kept,
        "duplicates": built.set_aside.get("DUPLICATE", 0),
        "corrected": built.set_aside.get("CORRECTED", 0),
        "left_out_held_out": built.set_aside.get("LEFT_OUT_HELD_OUT", 0),
        "quarantined": sum(bad.values()),
        "quarantined_by_rule": bad,
        "row_counts": dict(built.version.row_counts),
        "label_source_counts": dict(built.version.label_source_counts),
        "feedback_without_label": built.feedback.without_label,
        "feedback_without_prediction": built.feedback.without_prediction,
        "feedback_without_text": built.feedback.without_text,
    }


def build(context: JobContext) -> DatasetVersion:
    """What `run` does, for jobs that go on with the version.

    Raises:
        DataError: as `run`.
        RunCancelled: as `run`.
    """
    return _build(context).version


def _build(context: JobContext) -> _Build:
    context.progress(0.0, "reads the sources")
    found = [read_csv(s.path, s.text_column, s.label_column) for s in context.task_settings.sources]
    context.progress(0.3, "reads the feedback")
    text_key = load_text_key(context.settings.state_dir)
    feedback = feedback_examples(context.storage, context.task, text_key)
    context.progress(0.4, "cleans, splits and deduplicates")
    content = _refine(context, found, feedback)
    context.progress(0.8, "writes the dataset version")
    version = publish(content, context.settings.state_dir / "datasets", context.clock())
    context.storage.datasets.add(version)
    kept, aside = len(content.examples), count_by_rule(content.set_aside)
    return _Build(version, kept + len(content.set_aside), kept, aside, feedback)


def _refine(
    context: JobContext, found: Iterable[SourceRows], feedback: FeedbackExamples
) -> Content:
    """Take rows through the stages between reading and writing."""
    rows = [row for source in found for row in source.examples]
    rows += feedback.examples
    unreadable = [row for source in found for row in source.quarantined]
    unreadable += feedback.quarantined
    max_text_length = context.task_settings.max_text_length
    cleaned, unclean = _partition(rows, lambda row: clean(row, max_text_length))
    placed, left_out = _partition(cleaned, place)
    kept, surplus = deduplicate(placed)
    labels = {item.example.label for item in kept}
    if len(labels) < 2:
        told = f"only the label {labels.pop()!r}" if labels else "no example"
        raise DataError("TOO_FEW_LABELS", f"task {context.task!r}: its sources leave {told}")
    return Content(context.task, kept, [*unreadable, *unclean, *left_out, *surplus])


def _partition(
    items: Iterable[_Item], stage: Callable[[_Item], _Passed | QuarantinedRow]
) -> tuple[list[_Passed], list[QuarantinedRow]]:
    """What a stage passes on, and what it sets aside."""
    passed: list[_Passed] = []
    aside: list[QuarantinedRow] = []
    for item in items:
        outcome = stage(item)
        if isinstance(outcome, QuarantinedRow):
            aside.append(outcome)
        else:
            passed.append(outcome)
    return passed, aside
