"""The job `expire_texts`: removes texts after a task's retention period."""

from collections.abc import Callable
from datetime import datetime, timedelta

from tidemill_core.counted import counted
from tidemill_jobs.context import JobContext, Progress, Result

BATCH_ROWS = 1000
"""Rows of one transaction, so that the front waits only briefly to write."""

Expire = Callable[[str, datetime, int], int]
"""Removes a task's texts from before a time, in a maximum number of rows; returns their number."""


def run(context: JobContext) -> Result:
    """Remove texts older than the task's `text_retention_days` from the database.

    The period of a prediction's text or hash starts with the prediction, also in the labeling
    queue; the period of a verdict's text starts with the verdict. The rows stay, because they are
    counted. Dataset versions are immutable and stay unchanged.

    Returns:
        Rows as `expired_predictions`, `expired_feedback` and `expired_label_items`.

    Raises:
        RunCanceled: someone stopped the run; removed texts stay removed.
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
        progress(0.0, f"removed {counted(expired, 'text')} from before {before:%Y-%m-%d %H:%M}")
        found = expire(task, before, BATCH_ROWS)
        expired += found
        if found < BATCH_ROWS:
            return expired
