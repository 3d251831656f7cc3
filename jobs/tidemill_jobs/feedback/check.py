"""The job `check_feedback`: reviews new feedback, and starts a retraining if the policy says so."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from tidemill_core.dataset_folder import EXAMPLES_FILE
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.job import RETRAIN, JobRun, JobRunState, Trigger
from tidemill_core.domain.label_names import Renames
from tidemill_core.domain.split import Split
from tidemill_core.object_errors import ObjectStorageUnavailable
from tidemill_core.storage.database import MAX_PAGE_SIZE, Page
from tidemill_core.storage.jobs import JobStore, RunRequest
from tidemill_core.storage.judged_predictions import evidence_mark
from tidemill_core.storage.storage import Storage
from tidemill_jobs.catalog import CHECK_FEEDBACK
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.deciding.split import place
from tidemill_jobs.data.preparing.clean import Cleaning, clean
from tidemill_jobs.data.text_hashing import text_hashes, text_key
from tidemill_jobs.feedback.retrain_policy import RetrainEvidence, retrain_reason
from tidemill_jobs.feedback.review import review_feedback

REST = timedelta(hours=1)
"""How long no retraining is started after one that failed or was canceled."""

_UNDER_WAY = (JobRunState.QUEUED, JobRunState.RUNNING)
_UNSUCCESSFUL = (JobRunState.FAILED, JobRunState.CANCELLED)
_ENDED = (JobRunState.SUCCEEDED, *_UNSUCCESSFUL)


def run(context: JobContext) -> Result:
    """Review new feedback, and start `retrain` if the retrain policy has a reason.

    No retraining is started while another waits or runs, nor within `REST` of one that failed or
    was canceled, nor while the task's releases are paused, nor while the object storage is away.

    Returns:
        `new_examples`, `retrain_after`, `held_verdicts`, `decision` (STARTED, TOO_FEW, PAUSED,
        UNDER_WAY or RESTING; TOO_FEW if there is no reason), `reason`, and `retrain_run_id`: the
        run that was started, is under way or failed; empty for TOO_FEW and PAUSED. `reviewed`
        marks the feedback that was reviewed. While the object storage is away, `new_examples` is
        the last count.

    Raises:
        StorageUnavailable: the database does not answer.
        ObjectStorageRefused: as it stays until a person acts.
    """
    storage, task, now = context.storage, context.task, context.clock()
    reviewed, new_examples = _review(context)
    policy = context.settings.feedback
    decision, retrain = "TOO_FEW", None
    try:
        evidence = _evidence(context)
    except ObjectStorageUnavailable as error:
        decision, reason = "RESTING", f"no retraining starts meanwhile: {error}"
    else:
        new_examples, reason = evidence.new_examples, retrain_reason(evidence, policy, now)
        if storage.pauses.get(task) is not None:
            decision = "PAUSED"
        elif reason:
            decision, retrain = _start(storage.jobs, task, reason, now)
    if decision == "RESTING" and retrain is not None and retrain.end_time is not None:
        cause = "failed" if retrain.state is JobRunState.FAILED else "was canceled"
        until = retrain.end_time + REST
        reason += f"; it rests until {until:%H:%M} UTC, because the last retraining {cause}"
    return {
        "new_examples": new_examples,
        "retrain_after": policy.retrain_after,
        "held_verdicts": sum(storage.feedback_holds.count_held(task).values()),
        "decision": decision,
        "reason": reason,
        "retrain_run_id": "" if retrain is None else retrain.run_id,
        "reviewed": reviewed,
    }


def _review(context: JobContext) -> tuple[str, int]:
    """Review the feedback if it, or what is known about it, changed since the last check.

    Returns:
        A mark of the feedback, and the last check's count of new examples.
    """
    storage, task = context.storage, context.task
    mark = evidence_mark(storage.database, task)
    last = storage.jobs.latest(CHECK_FEEDBACK, task, [JobRunState.SUCCEEDED])
    known = {} if last is None else last.result
    if known.get("reviewed") != mark:
        review_feedback(context)
    return mark, int(known.get("new_examples", 0))


def _evidence(context: JobContext) -> RetrainEvidence:
    storage, task = context.storage, context.task
    last = storage.jobs.latest(RETRAIN, task, _ENDED)
    success = storage.jobs.latest(RETRAIN, task, [JobRunState.SUCCEEDED])
    alerts, _ = storage.alerts.page(task, False, True, Page(MAX_PAGE_SIZE))
    drift, _ = storage.reports.page(task, "drift", Page(1))
    return RetrainEvidence(
        new_examples=_new_examples(context, success),
        last=last,
        last_success=success,
        alert=next((alert for alert in alerts if alert.kind == "accuracy"), None),
        drift=drift[0] if drift else None,
    )


def _new_examples(context: JobContext, success: JobRun | None) -> int:
    """Count the new trusted examples, or preference pairs, since a retraining began.

    A text counts once, however many verdicts it has. It does not count where the split holds it
    out, or where that retraining learned it with the same label.
    """
    storage, task = context.storage, context.task
    since = None if success is None else success.start_time
    if context.task_settings.kind == "preference":
        return storage.preferences.count_pairs(task, since)
    learned = "" if success is None else str(success.result.get("dataset_version", ""))
    folder = context.dataset_folder(learned)
    cleaning = Cleaning.of(dict(context.task_settings))
    renames = context.task_settings.labels.rename
    return _count_new(_labeled(storage, task, since), cleaning, renames, folder / EXAMPLES_FILE)


def _labeled(storage: Storage, task: str, since: datetime | None) -> list[tuple[str, str]]:
    """Return the texts that feedback or people labeled since a time, with their labels."""
    by_people = storage.label_items.labeled_texts(task, since)
    return storage.feedback.labeled_texts(task, since) + by_people


def _count_new(
    labeled: Sequence[tuple[str, str]], cleaning: Cleaning, renames: Renames, learned: Path
) -> int:
    """Count distinct texts that train and that the last version did not learn with that label.

    Args:
        labeled: texts and labels.
        cleaning: how a build cleans them; texts that it would quarantine do not count.
        renames: new names of labels by their old ones.
        learned: the examples that the last version was trained on, if they still exist.
    """
    rows = pl.DataFrame(labeled, schema={"text": pl.String, "label": pl.String}, orient="row")
    nothing = pl.lit(None, pl.String)
    rows = rows.with_columns(label_source=pl.lit(LabelSource.FEEDBACK), rule=nothing, value=nothing)
    cleaned = clean(rows, cleaning).drop_nulls("text")
    hashed = cleaned.with_columns(text_hash=text_hashes(cleaned["text"]))
    placed = place(hashed.with_columns(text_key=text_key(pl.col("text_hash"))))
    new = placed.filter(pl.col("split") == str(Split.TRAIN))
    try:
        known = pl.read_parquet(learned, columns=["text_hash", "label"], glob=False)
    except (OSError, pl.exceptions.PolarsError):
        known = new.clear()  # missing or damaged: every text counts, so a new dataset is built
    new, known = (each.with_columns(pl.col("label").replace(renames)) for each in (new, known))
    return new.join(known, on=["text_hash", "label"], how="anti")["text_hash"].n_unique()


def _start(jobs: JobStore, task: str, reason: str, now: datetime) -> tuple[str, JobRun | None]:
    """Start a retraining, unless one is under way or failed a short time ago."""
    if (current := jobs.latest(RETRAIN, task, _UNDER_WAY)) is not None:
        return "UNDER_WAY", current
    ended = jobs.latest(RETRAIN, task, _ENDED)
    if ended is not None and _is_fresh_failure(ended, now):
        return "RESTING", ended
    request = RunRequest(RETRAIN, task, Trigger.CHECK_FEEDBACK, reason=reason)
    return "STARTED", jobs.enqueue(request, now)


def _is_fresh_failure(ended: JobRun, now: datetime) -> bool:
    failed = ended.state in _UNSUCCESSFUL
    return failed and ended.end_time is not None and now - ended.end_time < REST
