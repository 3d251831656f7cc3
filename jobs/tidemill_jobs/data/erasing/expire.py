"""The job `expire_texts`: removes the texts that a task no longer keeps."""

from collections.abc import Callable
from datetime import datetime, timedelta

from tidemill_jobs.context import JobContext, Progress, Result

BATCH_ROWS = 1000
"""Rows of one transaction, so that the front waits only briefly for its turn to write."""

Expire = Callable[[str, datetime, int], int]
"""Removes texts of a task from before a time, of so many rows at most; of how many it did."""


def run(context: JobContext) -> Result:
    """Remove the texts older than the task's `text_retention_days`, from what is stored.

    A prediction's text, or its hash, goes so long after the prediction, also where people are
    asked to label it, and the text that came with a verdict so long after the verdict. The rows
    stay, for they are counted. Dataset versions stay as they are: they are immutable.

    Returns:
        `expired_predictions`, `expired_feedback` and `expired_label_items`, in rows.

    Raises:
        RunCancelled: somebody asked the run to stop; what was removed stays removed.
        StorageUnavailable: the database does not answer.
    """
    days = context.task_settings.text_retention_days
    kinds: dict[str, Expire] = {
        "expired_predictions": context.storage.predictions.expire_texts,
        "expired_feedback": context.storage.feedback.expire_texts,
        "expired_label_items": context.storage.label_items.expire_texts,
    }
    if days is None:
        return dict.fromkeys(kinds, 0)
    before = context.clock() - timedelta(days=days)
    return {
        name: _expire(expire, context.task, before, context.progress)
        for name, expire in kinds.items()
    }


def _expire(expire: Expire, task: str, before: datetime, progress: Progress) -> int:
    expired = 0
    while True:
        progress(0.0, f"has removed {expired} texts from before {before:%Y-%m-%d %H:%M}")
        found = expire(task, before, BATCH_ROWS)
        expired += found
        if found < BATCH_ROWS:
            return expired
