"""The job `build_dataset`: from sources and feedback to one immutable dataset version."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tidemill_core.clock import Clock
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.example import Example, QuarantinedRow
from tidemill_core.errors import ConfigurationError, TooFewLabels
from tidemill_core.settings import SourceSettings, TaskSettings
from tidemill_core.storage.storage import Storage
from tidemill_core.text_hash import load_text_key
from tidemill_jobs.cluster import mapping
from tidemill_jobs.context import JobContext, Progress, Result
from tidemill_jobs.data.deciding.decide import decide
from tidemill_jobs.data.deciding.quarantine_share import check_share
from tidemill_jobs.data.deciding.weak_labels.weak_labels import open_weak_labels
from tidemill_jobs.data.landing.feedback_rows import ANSWERS, FEEDBACK, LABELS, landed_rows
from tidemill_jobs.data.landing.intake import Intake, Segment
from tidemill_jobs.data.preference_pairs import build_pairs
from tidemill_jobs.data.preparing.prepare import PreparedCache
from tidemill_jobs.data.publishing.assemble import assemble
from tidemill_jobs.data.publishing.dvc_tracking import track
from tidemill_jobs.data.publishing.successor import publish_next
from tidemill_jobs.data.recipe import Recipe
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import Source
from tidemill_jobs.data.task_folders import TaskFolders
from tidemill_jobs.feedback.examples import FeedbackExamples, feedback_examples
from tidemill_jobs.feedback.labels import label_examples
from tidemill_jobs.feedback.pseudo_labels import pseudo_labels
from tidemill_jobs.feedback.review import review_feedback


@dataclass(frozen=True)
class Build:
    """A version, and the figures of the run that built it."""

    version: DatasetVersion
    feedback: FeedbackExamples
    labeling_functions: Sequence[Mapping[str, Any]]
    warnings: tuple[str, ...]


def run(context: JobContext) -> Result:
    """Build the task's dataset version from its current sources and feedback.

    Returns:
        The version's id and counts of its rows: `rows_in` is the sum of the counts by outcome.
        Feedback that gives no example is not a row and has its own counts.

    Raises:
        DataError: as `build_dataset`.
        ConfigurationError: as `build_dataset`.
        RunCanceled: someone stopped the run; nothing is published.
    """
    if context.task_settings.kind == "preference":
        return _counts(build_pairs(context, context.progress))
    built = build_for(context, context.progress)
    version = built.version
    return {
        **_counts(version),
        "label_source_counts": dict(version.label_source_counts),
        "labeling_functions": list(built.labeling_functions),
        "feedback_without_label": built.feedback.without_label,
        "feedback_without_prediction": built.feedback.without_prediction,
        "feedback_without_text": built.feedback.without_text,
        "warnings": list(built.warnings),
    }


def _counts(version: DatasetVersion) -> dict[str, Any]:
    return {
        "dataset_version": version.dataset_version,
        "rows_in": sum(version.outcome_counts.values()),
        **{f"rows_{outcome}": count for outcome, count in version.outcome_counts.items()},
        "excluded_by_rule": dict(version.quarantine_counts),
        "row_counts": dict(version.row_counts),
    }


def dataset_for(context: JobContext, progress: Progress) -> DatasetVersion:
    """Build what a run's task learns from: examples, or preference pairs.

    Raises as `build_dataset` and `build_pairs`.
    """
    if context.task_settings.kind == "preference":
        return build_pairs(context, progress)
    return build_for(context, progress).version


def build_for(context: JobContext, progress: Progress) -> Build:
    """Review the task's feedback, and build its dataset version as `build_dataset`."""
    settings = context.settings
    review_feedback(context)
    return build_dataset(
        context.task,
        context.task_settings,
        settings.feedback.trust,
        settings.state_dir,
        context.datasets,
        context.storage,
        context.clock,
        progress,
        settings.ray.address,
    )


def build_dataset(
    task: str,
    settings: TaskSettings,
    trust: Mapping[str, float],
    state_dir: Path,
    datasets: DatasetCopies,
    storage: Storage,
    clock: Clock,
    progress: Progress,
    ray_address: str = "",
) -> Build:
    """Build a task's dataset version from its current sources and feedback.

    `trust` has the weights of verdicts by their source; a source without one has 1. With
    `ray_address`, texts are cleaned and measured on that Ray cluster.

    Raises:
        DataError: a source cannot be used; too many of its rows break a rule; the rows have fewer
            than two labels; or a labeling function fails.
        ConfigurationError: two sources differ only in how they are read; or there are labeling
            functions and Snorkel is not installed.
        ObjectStorageUnavailable, ObjectStorageRefused: the version is not stored; the next build
            stores it.
        RunCanceled: someone stopped the run; nothing is published.
    """
    folders = TaskFolders.below(state_dir, task)
    recipe = Recipe.of({**dict(settings), "rename": settings.labels.rename})
    sources = _open_sources(task, settings.sources)
    with Intake(folders.intake).locked(progress):
        folders.remove_left_over()
        # Only after the wait for the lock, because an erasure may have held it.
        erased = storage.erasures.hashes(task).keys()
        intake = Intake(folders.intake, erased)
        progress(0.0, "reading the sources")
        segments = [segment for source in sources for segment in intake.land(source, progress)]
        progress(0.3, "reading the feedback")
        feedback = feedback_examples(storage, task, load_text_key(state_dir), trust)
        answers = pseudo_labels(storage.prediction_samples, task, settings.pseudo_labels, clock())
        segments += _land_feedback(intake, feedback, label_examples(storage, task), answers)
        cache = PreparedCache(folders.prepared, recipe.cleaning)
        weak = open_weak_labels(settings.labeling_functions, recipe.rename, progress)
        with mapping(ray_address) as mapped:
            prepared = cache.prepare(segments, progress, mapped)
        progress(0.6, "deciding what to keep")
        decided = decide(prepared, recipe.rename, recipe.near_duplicate_similarity, erased, weak)
        check_share(decided, storage.datasets, datasets, task, settings.max_quarantine_share)
        _check_labels(decided.kept["label"], task)
        content = assemble(task, recipe, decided, weak)
        progress(0.8, "writing the dataset version")
        version = publish_next(content, datasets, storage.datasets, clock())
        cache.clear(segments)
    warning = track(version, Path.cwd())
    return Build(version, feedback, content.labeling_functions, (warning,) if warning else ())


def _open_sources(task: str, declared: Sequence[SourceSettings]) -> list[Source]:
    sources = [open_source(settings) for settings in declared]
    names = Counter(source.name for source in sources)
    twice = [source.place for source in sources if names[source.name] > 1]
    if twice:
        raise ConfigurationError(
            f"task {task!r} has two sources that read the same rows from {twice[0]} in different "
            "ways, so their rows would mix. Remove one of them"
        )
    return sources


def _land_feedback(
    intake: Intake,
    feedback: FeedbackExamples,
    labeled: Iterable[Example],
    answers: Iterable[Example],
) -> list[Segment]:
    """Land what callers, people and the champion said, and return the segments that have it."""
    snapshots: Mapping[str, Iterable[Example | QuarantinedRow]] = {
        FEEDBACK: [*feedback.examples, *feedback.quarantined],
        LABELS: labeled,
        ANSWERS: answers,
    }
    return [
        segment
        for source, examples in snapshots.items()
        for segment in intake.land_snapshot(source, landed_rows(examples))
    ]


def _check_labels(kept: pl.Series, task: str) -> None:
    labels = kept.unique()
    if len(labels) < 2:
        found = f"only the label {labels[0]!r}" if len(labels) else "no example"
        raise TooFewLabels(f"task {task!r}: its sources leave {found}")
