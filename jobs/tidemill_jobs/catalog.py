"""The catalog of jobs: their names, descriptions and code."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from tidemill_core.domain.job import (
    EVALUATE,
    IMPORT_MODEL,
    REPRODUCE_MODEL,
    RETRAIN,
    SCORE,
    Job,
)
from tidemill_core.domain.rollout import ROLLOUT
from tidemill_core.errors import NotFound
from tidemill_core.settings import ScheduleSettings
from tidemill_jobs.context import JobContext, Result

QUEUE_LABELS = "queue_labels"
CHECK_FEEDBACK = "check_feedback"


@dataclass(frozen=True)
class JobDefinition:
    """One job.

    Attributes:
        job: its name, and the field of `ScheduleSettings` that schedules it, if it has one.
        description: what it does, in a sentence.
        module: the module of its `run(context)`. It is imported when it runs: some import torch.
        needs_classes: whether it has nothing to do for a task of the kind preference.
    """

    job: str
    description: str
    module: str
    needs_classes: bool = False

    def load(self) -> Callable[[JobContext], Result]:
        """Import and return the job's `run`."""
        run: Callable[[JobContext], Result] = importlib.import_module(self.module).run
        return run


CATALOG = (
    JobDefinition(
        "build_dataset",
        "Builds a dataset version from the sources and from feedback",
        "tidemill_jobs.data.build",
    ),
    JobDefinition(
        RETRAIN,
        "Builds a dataset, trains, publishes, gates, and promotes or rejects the new version",
        "tidemill_jobs.release.retrain",
    ),
    JobDefinition(
        IMPORT_MODEL,
        "Wraps a model that was made elsewhere, publishes and gates it, and promotes or rejects it",
        "tidemill_jobs.importing.import_model",
    ),
    JobDefinition(
        REPRODUCE_MODEL,
        "Trains a version again from its manifest, and compares the weights",
        "tidemill_jobs.release.reproduce",
    ),
    JobDefinition(
        ROLLOUT,
        "Checks the version that is in a rollout, and moves it forward or out of traffic",
        "tidemill_jobs.release.rollout.watch",
    ),
    JobDefinition(
        SCORE,
        "Predicts the label of each row of a file or a table, and writes a file or a table",
        "tidemill_jobs.scoring.score",
    ),
    JobDefinition(
        EVALUATE,
        "Measures a version on labeled rows, and compares it with another version",
        "tidemill_jobs.evaluation.evaluate",
    ),
    JobDefinition(
        CHECK_FEEDBACK,
        "Reviews feedback, and starts a retraining if there is a reason",
        "tidemill_jobs.feedback.check",
    ),
    JobDefinition(
        "check_drift",
        "Compares the champion's predictions with those on its hold-out",
        "tidemill_jobs.monitoring.drift.check",
    ),
    JobDefinition(
        "check_accuracy",
        "Estimates the champion's accuracy from audits, feedback and confidence",
        "tidemill_jobs.monitoring.accuracy.check",
        needs_classes=True,
    ),
    JobDefinition(
        "check_latency",
        "Compares the champion's latency and errors with their limits and their past",
        "tidemill_jobs.monitoring.latency",
    ),
    JobDefinition(
        "write_evidently",
        "Writes the drift check's window as a report of Evidently, as HTML and JSON",
        "tidemill_jobs.monitoring.tools.evidently_report",
        needs_classes=True,
    ),
    JobDefinition(
        "send_arize",
        "Sends predictions and feedback to Arize",
        "tidemill_jobs.monitoring.tools.arize_export",
        needs_classes=True,
    ),
    JobDefinition(
        "find_label_errors",
        "Finds examples of the newest dataset version that seem to have a wrong label",
        "tidemill_jobs.feedback.label_errors",
        needs_classes=True,
    ),
    JobDefinition(
        QUEUE_LABELS,
        "Chooses predictions for people to label",
        "tidemill_jobs.feedback.label_requests",
        needs_classes=True,
    ),
    JobDefinition(
        "send_tracking",
        "Sends trainings to the trackers that did not take them before, and shows the champion",
        "tidemill_jobs.release.tracking",
    ),
    JobDefinition(
        "expire_predictions",
        "Removes predictions that are older than prediction_log.retention_days",
        "tidemill_jobs.data.erasing.expire_predictions",
    ),
    JobDefinition(
        "expire_texts",
        "Removes texts that are older than the task keeps them",
        "tidemill_jobs.data.erasing.expire",
    ),
    JobDefinition(
        "erase_texts",
        "Removes texts that a person asked to erase from the database and the datasets",
        "tidemill_jobs.data.erasing.erase",
    ),
)

CHECKS = (*(known.job for known in CATALOG if known.job.startswith("check_")), ROLLOUT)
"""The jobs that run often and report what they find; their runs are pruned after some days."""

YIELDING = (SCORE, EVALUATE)
"""The jobs that get the CPU only while nothing else wants it."""


def definition(job: str) -> JobDefinition:
    """Return the definition of a job.

    Raises:
        NotFound: there is no such job.
    """
    found = {known.job: known for known in CATALOG}.get(job)
    if found is None:
        raise NotFound("job", job)
    return found


def crontab(job: str, schedule: ScheduleSettings) -> str:
    """Return the crontab expression of a job; empty if it does not run by itself."""
    return str(getattr(schedule, job, ""))


def catalog(schedule: ScheduleSettings) -> list[Job]:
    """Return the catalog as the database stores it."""
    return [Job(known.job, known.description, crontab(known.job, schedule)) for known in CATALOG]
