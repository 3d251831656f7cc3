"""Builds of dataset versions by the job."""

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.build import build_dataset


def build(context: JobContext) -> DatasetVersion:
    """Build the task's dataset version from its current sources and feedback."""
    return build_dataset(
        context.task,
        context.task_settings,
        context.settings.feedback.trust,
        context.settings.state_dir,
        context.storage,
        context.clock,
        context.progress,
    ).version
