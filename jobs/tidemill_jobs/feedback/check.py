"""The job `check_feedback`: starts a retraining once feedback has taught enough."""

from datetime import datetime, timedelta

from tidemill_core.domain.job import JobRun, JobRunState, Trigger
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.catalogue import RETRAIN
from tidemill_jobs.context import JobContext, Result

REST = timedelta(hours=1)
"""How long no retraining is started after one that failed or that somebody cancelled."""

_UNDER_WAY = (JobRunState.QUEUED, JobRunState.RUNNING)
_IN_VAIN = (JobRunState.FAILED, JobRunState.CANCELLED)


def run(context: JobContext) -> Result:
    """Count the labelled examples that no version has learnt from; start `retrain` at enough.

    Those are the predictions labelled by feedback since the last successful retraining began,
    or ever if there was none, whose text is known. Nothing is started while a retraining waits
    or runs, nor within `REST` of one that was in vain.

    Returns:
        `new_examples`, `retrain_after`, `decision` (STARTED, TOO_FEW, UNDER_WAY or RESTING)
        and `retrain_run_id`: the run started, under way or in vain; empty for TOO_FEW.

    Raises:
        ResourceExhausted: the queue of runs is full.
        StorageUnavailable: the database does not answer.
    """
    last = context.storage.jobs.latest(RETRAIN, context.task, [JobRunState.SUCCEEDED])
    since = None if last is None else last.start_time
    new_examples = context.storage.feedback.count_examples(context.task, since)
    decision, retrain = _decide(context, new_examples)
    return {
        "new_examples": new_examples,
        "retrain_after": context.settings.feedback.retrain_after,
        "decision": decision,
        "retrain_run_id": "" if retrain is None else retrain.run_id,
    }


def _decide(context: JobContext, new_examples: int) -> tuple[str, JobRun | None]:
    jobs, now = context.storage.jobs, context.clock()
    if new_examples < context.settings.feedback.retrain_after:
        return "TOO_FEW", None
    if (current := jobs.latest(RETRAIN, context.task, _UNDER_WAY)) is not None:
        return "UNDER_WAY", current
    ended = jobs.latest(RETRAIN, context.task, [JobRunState.SUCCEEDED, *_IN_VAIN])
    if ended is not None and _is_fresh_failure(ended, now):
        return "RESTING", ended
    return "STARTED", jobs.enqueue(RunRequest(RETRAIN, context.task, Trigger.CHECK_FEEDBACK), now)


def _is_fresh_failure(ended: JobRun, now: datetime) -> bool:
    in_vain = ended.state in _IN_VAIN
    return in_vain and ended.end_time is not None and now - ended.end_time < REST
