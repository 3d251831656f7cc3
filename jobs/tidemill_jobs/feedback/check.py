"""The job `check_feedback`: starts a retraining once feedback has taught enough."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from tidemill_core.dataset_folder import EXAMPLES_FILE
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.job import JobRun, JobRunState, Trigger
from tidemill_core.domain.label_names import Renames
from tidemill_core.storage.jobs import JobStore, RunRequest
from tidemill_jobs.catalogue import RETRAIN
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.preparing.clean import Cleaning, clean
from tidemill_jobs.data.text_hashing import text_hashes

REST = timedelta(hours=1)
"""How long no retraining is started after one that failed or that somebody cancelled."""

_UNDER_WAY = (JobRunState.QUEUED, JobRunState.RUNNING)
_IN_VAIN = (JobRunState.FAILED, JobRunState.CANCELLED)


def run(context: JobContext) -> Result:
    """Count the texts that feedback labeled and no version has learned; start `retrain` at enough.

    Those are the texts of the predictions labeled since the last successful retraining began, or
    ever if there was none. However many verdicts say the same of a text, it counts once; it does
    not count where that retraining learned it with the same label. Nothing is started while a
    retraining waits or runs, nor within `REST` of one that was in vain.

    Returns:
        `new_examples`, `retrain_after`, `decision` (STARTED, TOO_FEW, UNDER_WAY or RESTING)
        and `retrain_run_id`: the run started, under way or in vain; empty for TOO_FEW.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    jobs, task = context.storage.jobs, context.task
    last = jobs.latest(RETRAIN, task, [JobRunState.SUCCEEDED])
    labeled = context.storage.feedback.labeled_texts(task, last.start_time if last else None)
    learned = str(last.result.get("dataset_version", "")) if last else ""
    folder = context.settings.state_dir / "datasets" / task / learned
    cleaning = Cleaning.of(dict(context.task_settings))
    renames = context.task_settings.labels.rename
    new_examples = _count_new(labeled, cleaning, renames, folder / EXAMPLES_FILE)
    retrain_after = context.settings.feedback.retrain_after
    decision, retrain = "TOO_FEW", None
    if new_examples >= retrain_after:
        decision, retrain = _start(jobs, task, context.clock())
    return {
        "new_examples": new_examples,
        "retrain_after": retrain_after,
        "decision": decision,
        "retrain_run_id": "" if retrain is None else retrain.run_id,
    }


def _count_new(
    labeled: Sequence[tuple[str, str]], cleaning: Cleaning, renames: Renames, learned: Path
) -> int:
    """Count distinct texts, cleaned and normalized as a build does, that teach something new.

    Args:
        labeled: texts and labels.
        cleaning: how a build cleans them; texts that it would quarantine do not count.
        renames: new names of labels, by which a build calls them.
        learned: the examples that the last version was trained on, if they are still there.
    """
    rows = pl.DataFrame(labeled, schema={"text": pl.String, "label": pl.String}, orient="row")
    nothing = pl.lit(None, pl.String)
    rows = rows.with_columns(label_source=pl.lit(LabelSource.FEEDBACK), rule=nothing, value=nothing)
    cleaned = clean(rows, cleaning).drop_nulls("text")
    taught = cleaned.with_columns(text_hash=text_hashes(cleaned["text"]))
    try:
        known = pl.read_parquet(learned, columns=["text_hash", "label"], glob=False)
    except (OSError, pl.exceptions.PolarsError):
        known = taught.clear()  # removed or damaged: all of it counts, so that a new one is built
    taught, known = (
        each.with_columns(pl.col("label").replace(renames)) for each in (taught, known)
    )
    return taught.join(known, on=["text_hash", "label"], how="anti")["text_hash"].n_unique()


def _start(jobs: JobStore, task: str, now: datetime) -> tuple[str, JobRun | None]:
    """Start a retraining, unless one is under way or failed a short time ago."""
    if (current := jobs.latest(RETRAIN, task, _UNDER_WAY)) is not None:
        return "UNDER_WAY", current
    ended = jobs.latest(RETRAIN, task, [JobRunState.SUCCEEDED, *_IN_VAIN])
    if ended is not None and _is_fresh_failure(ended, now):
        return "RESTING", ended
    return "STARTED", jobs.enqueue(RunRequest(RETRAIN, task, Trigger.CHECK_FEEDBACK), now)


def _is_fresh_failure(ended: JobRun, now: datetime) -> bool:
    in_vain = ended.state in _IN_VAIN
    return in_vain and ended.end_time is not None and now - ended.end_time < REST
