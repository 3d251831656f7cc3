"""The job `build_dataset`: sources and feedback in, one immutable dataset version out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.errors import ConfigurationError
from tidemill_core.storage.database import Page
from tidemill_core.text_hash import load_text_key
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.landing.feedback_rows import FEEDBACK, LABELS, platform_rows
from tidemill_jobs.data.landing.intake import Intake, Segment
from tidemill_jobs.data.publishing.assemble import assemble, erased_hashes, workshop
from tidemill_jobs.data.publishing.dataset import publish
from tidemill_jobs.data.publishing.dvc_tracking import track
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import Source
from tidemill_jobs.data.whole_files import remove_left_over
from tidemill_jobs.feedback.examples import FeedbackExamples, feedback_examples
from tidemill_jobs.feedback.labels import label_examples


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
        ConfigurationError: two sources are the same but for how they are read; or labelling
            functions are declared, and Snorkel is not installed.
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
    folder = state / "intake" / task
    with Intake(folder).locked(context.progress):
        # Only now, for an erasure may have been at work while this waited.
        intake = Intake(folder, erased_hashes(context))
        for place in ("prepared", "datasets"):
            remove_left_over(state / place / task)
        feedback, segments = _land(context, intake)
        content = assemble(context, segments)
        context.progress(0.8, "writes the dataset version")
        newest, _ = context.storage.datasets.page(task, Page(size=1))
        parents = tuple(version.dataset_version for version in newest)
        version = publish(content, state / "datasets", parents, context.clock())
        context.storage.datasets.add(version)
        workshop(context).clear(segments)
    warning = track(version, Path.cwd())
    warnings = (warning,) if warning else ()
    return _Build(version, feedback, warnings, content.labeling_functions)


def _sources(context: JobContext) -> list[Source]:
    sources = [open_source(settings) for settings in context.task_settings.sources]
    names = Counter(source.name for source in sources)
    twice = [source.place for source in sources if names[source.name] > 1]
    if twice:
        raise ConfigurationError(
            f"task {context.task!r} has two sources that read the same from {twice[0]}, in other "
            "ways: one would take the other's rows for its own. Remove one of them"
        )
    return sources


def _land(context: JobContext, intake: Intake) -> tuple[FeedbackExamples, list[Segment]]:
    """Bring in what is new; all segments of the sources that are declared now."""
    segments: list[Segment] = []
    context.progress(0.0, "reads the sources")
    for source in _sources(context):
        intake.land(source, context.progress)
        segments += intake.segments(source.name)
    context.progress(0.3, "reads the feedback")
    text_key = load_text_key(context.settings.state_dir)
    trust = context.settings.feedback.trust
    feedback = feedback_examples(context.storage, context.task, text_key, trust)
    intake.land_snapshot(FEEDBACK, platform_rows([*feedback.examples, *feedback.quarantined]))
    intake.land_snapshot(LABELS, platform_rows(label_examples(context.storage, context.task)))
    return feedback, segments + intake.segments(FEEDBACK) + intake.segments(LABELS)
