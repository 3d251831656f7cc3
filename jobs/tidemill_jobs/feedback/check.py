"""The job `check_feedback`: starts a retraining once enough new feedback has come in."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from tidemill_core.dataset_folder import EXAMPLES_FILE
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.job import RETRAIN, JobRun, JobRunState, Trigger
from tidemill_core.domain.label_names import Renames
from tidemill_core.domain.split import Split
from tidemill_core.storage.jobs import JobStore, RunRequest
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.deciding.split import place
from tidemill_jobs.data.preparing.clean import Cleaning, clean
from tidemill_jobs.data.text_hashing import text_hashes, text_key

REST = timedelta(hours=1)
"""How long no retraining is started after one that failed or was canceled."""

_UNDER_WAY = (JobRunState.QUEUED, JobRunState.RUNNING)
_UNSUCCESSFUL = (JobRunState.FAILED, JobRunState.CANCELLED)


def run(context: JobContext) -> Result:
    """Count the new texts that feedback labeled, and start `retrain` if they are enough.

    Only predictions labeled since the last successful retraining began are looked at. A text counts
    once, however many verdicts it has. It does not count where the split holds it out, or where
    that retraining learned it with the same label. No retraining is started while another waits or
    runs, nor within `REST` of one that failed or was canceled.

    Returns:
        `new_examples`, `retrain_after`, `decision` (STARTED, TOO_FEW, PAUSED, UNDER_WAY
        or RESTING)
        and `retrain_run_id`: the run that was started, is under way or failed; empty for
        TOO_FEW and PAUSED.

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
    if context.storage.pauses.get(task) is not None:
        decision = "PAUSED"
    elif new_examples >= retrain_after:
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


def _start(jobs: JobStore, task: str, now: datetime) -> tuple[str, JobRun | None]:
    """Start a retraining, unless one is under way or failed a short time ago."""
    if (current := jobs.latest(RETRAIN, task, _UNDER_WAY)) is not None:
        return "UNDER_WAY", current
    ended = jobs.latest(RETRAIN, task, [JobRunState.SUCCEEDED, *_UNSUCCESSFUL])
    if ended is not None and _is_fresh_failure(ended, now):
        return "RESTING", ended
    return "STARTED", jobs.enqueue(RunRequest(RETRAIN, task, Trigger.CHECK_FEEDBACK), now)


def _is_fresh_failure(ended: JobRun, now: datetime) -> bool:
    failed = ended.state in _UNSUCCESSFUL
    return failed and ended.end_time is not None and now - ended.end_time < REST
