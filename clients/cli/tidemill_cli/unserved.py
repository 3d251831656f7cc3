"""The reasons why a task does not answer, and the commands that help."""

from collections.abc import Iterable, Mapping
from typing import Any

from tidemill.v1.job_service_pb2 import ListJobRunsRequest
from tidemill.v1.model_service_pb2 import (
    MODEL_STATE_AWAITING_APPROVAL,
    GetModelVersionRequest,
    ListModelVersionsRequest,
    ModelVersion,
)
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.messages import to_json
from tidemill_cli.output import percent
from tidemill_client import FailedPrecondition, TidemillClient, translated_errors
from tidemill_core.domain.job import JobRunState
from tidemill_core.domain.model import ModelState
from tidemill_core.errors import (
    DeadlineExceeded,
    ModelLoadFailed,
    NoChampion,
    StorageUnavailable,
    TritonUnavailable,
)

_NOT_DATA = "the data is not the cause"
_TRITON = f"{_NOT_DATA}: see Triton's log"
_PROCESS = "see the log of jobs, and check that there is enough memory"
_CURES = {
    TritonUnavailable.reason: _TRITON,
    ModelLoadFailed.reason: _TRITON,
    "ANSWERS_DIFFER": _TRITON,
    DeadlineExceeded.reason: _TRITON,
    StorageUnavailable.reason: "check that the database answers",
    "DIED": _PROCESS,
    "ORPHANED": _PROCESS,
    "gate size": f"{_NOT_DATA}: raise gate.max_model_mb of the task",
    "gate memory": f"{_NOT_DATA}: raise gate.max_memory_mb of the task",
    "gate latency": (
        f"{_NOT_DATA}: raise monitoring.max_p99_latency_ms, or stop other work on the machine"
    ),
}


def why_unserved(client: TidemillClient, task: str) -> str:
    """Return why a task that the server knows does not answer, and what to do.

    Raises:
        TidemillError: the server cannot be reached, or refuses to say.
    """
    try:
        with translated_errors():
            request = GetModelVersionRequest(task=task)
            champion = client.models.GetModelVersion(request, timeout=CALL_SECONDS).model_version
    except FailedPrecondition as error:
        return _why_untrained(client, task) if error.reason == NoChampion.reason else error.message
    return (
        f"version {champion.model_version} of {task} is not loaded in Triton, or Triton is away: "
        "`tidemill doctor` checks the latter. If Triton is up and this lasts, see the logs of "
        f"triton and jobs; to let another version answer: tidemill models rollback {task}, or "
        f"tidemill jobs run retrain --task {task}"
    )


def _why_untrained(client: TidemillClient, task: str) -> str:
    listed = ListModelVersionsRequest(task=task, page_size=1)
    for newest in client.models.ListModelVersions(listed, timeout=CALL_SECONDS).model_versions:
        if newest.state == MODEL_STATE_AWAITING_APPROVAL:
            return unapproved(task, newest.model_version)
    request = ListJobRunsRequest(job="retrain", task=task, page_size=1)
    runs = client.jobs.ListJobRuns(request, timeout=CALL_SECONDS).job_runs
    if not runs:
        return f"{task} has no model and no training yet: the process `jobs` queues the first one"
    run = to_json(runs[0])
    if trouble := trouble_of(run["state"], run["error"], run["result"] or {}):
        return no_first_model(task, trouble)
    return (
        f"{task} has no model yet; its training is {run['state']}, {percent(run['progress'])} "
        f"({run['message']}). To follow it: tidemill jobs watch {run['run_id']}"
    )


def trouble_of(state: str, error: str, result: Mapping[str, Any]) -> str:
    """Return why a training gives no champion; empty if it may still, or did."""
    if state == JobRunState.FAILED:
        return error
    if state == JobRunState.CANCELLED:
        return "its training was canceled"
    if result.get("state") == ModelState.REJECTED:
        return f"its model was rejected: {result.get('reason', '')}"
    return ""


def awaiting_approval(versions: Iterable[ModelVersion], champion: int | None) -> int | None:
    """Return the newest version that waits for an approval, if it is newer than the champion."""
    waiting = (v.model_version for v in versions if v.state == MODEL_STATE_AWAITING_APPROVAL)
    newest = max(waiting, default=0)
    return newest if champion is not None and newest > champion else None


def unapproved(task: str, version: int) -> str:
    """Return what to do about a version that passed its gates and waits for a person."""
    return (
        f"version {version} of {task} waits for an approval. To see what the gates found: "
        f"tidemill models show {task} {version}; to refuse it: "
        f"tidemill models reject {task} {version} --comment WHY; to let it answer: "
        f"tidemill models approve {task} {version}"
    )


def database_away(error: StorageUnavailable) -> str:
    """Return what `tidemill up` says while the database does not answer."""
    detail = " ".join(error.detail.split())  # PostgreSQL's has lines and tabs
    return f"{error}: {detail}\nwaiting for it; Ctrl-C stops"


def damaged_champion(task: str, version: int, damage: str) -> str:
    """Return the error for a task whose champion has damaged files."""
    return (
        f"version {version} of {task}, the champion, is damaged: {damage}\nrestore the file, or "
        f"let another version answer: tidemill models rollback {task}, or "
        f"tidemill jobs run retrain --task {task}"
    )


def no_first_model(task: str, trouble: str) -> str:
    """Return the error for a task whose first training failed."""
    reason = trouble.removeprefix("its model was rejected: ").partition(":")[0]
    if trouble.startswith("its training"):
        cure = ""
    elif reason in _CURES:
        cure = f"{_CURES[reason]}, then "
    elif trouble.startswith("its model"):
        cure = "check the labels of its sources, or add examples, then "
    else:
        cure = "fix that, then "
    return (
        f"{task} has no first model: {trouble}\n{cure}run: tidemill jobs run retrain --task {task}"
    )
