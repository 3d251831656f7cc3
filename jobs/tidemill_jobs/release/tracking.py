"""The sending of recorded trainings to the trackers, and the job `send_tracking`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import structlog

from tidemill_core.settings import Settings
from tidemill_core.storage.tracked_runs import TrackedRunStore
from tidemill_core.supervisor.exec_with_parent import with_parent
from tidemill_jobs.context import JobContext, Result, RunCanceled
from tidemill_jobs.training.trackers.send import SendOrder
from tidemill_jobs.training.tracking import Outboxes, waiting

SEND_SECONDS = 120
"""How long all trackers together may take for a task's runs."""
_MODULE = "tidemill_jobs.training.trackers.send"

log = structlog.get_logger()


def run(context: JobContext) -> Result:
    """Send what trackers did not take before, and show them the champion.

    Returns:
        `waiting`: the runs that still wait, by tracker.
    """
    return {"waiting": send_runs(context)}


def outboxes_of(settings: Settings, task: str) -> Outboxes:
    """Return the recorded runs of a task."""
    return Outboxes(settings.state_dir / "tracking", task, settings.tracking.trackers)


@contextmanager
def sent_afterwards(context: JobContext) -> Iterator[None]:
    """Send recorded runs after the block, unless it was canceled: then the next run sends them."""
    try:
        yield
    except RunCanceled:
        raise
    except Exception:
        send_runs(context)
        raise
    send_runs(context)


def send_runs(context: JobContext, seconds: float = SEND_SECONDS) -> dict[str, int]:
    """Send a task's recorded runs to all trackers at once, and link the versions to them.

    What a tracker does not take within these seconds waits for the next time.

    Returns:
        How many runs wait, by tracker.
    """
    settings, task = context.settings, context.task
    deployment = context.storage.models.deployment(task)
    champion = deployment.champion if deployment else 0
    deadline = time.monotonic() + seconds
    left: dict[str, int] = {}
    with TemporaryFile() as errors:
        outboxes = {
            name: outboxes_of(settings, task).of(name) for name in settings.tracking.trackers
        }
        senders = {
            name: _start(_order(settings, name, outbox, task, champion), errors)
            for name, outbox in outboxes.items()
        }
        for name, outbox in outboxes.items():
            _wait(senders[name], deadline)
            _link(context.storage.tracked_runs, task, name, outbox)
            left[name] = len(waiting(outbox))
        errors.seek(0)
        if senders_failed := [name for name in senders if senders[name].returncode]:
            detail = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            if any(senders[name].returncode == -signal.SIGKILL for name in senders_failed):
                detail = f"stopped after {seconds:g} s; {detail}".removesuffix("; ")
            log.warning("tracking_not_sent", trackers=senders_failed, waiting=left, detail=detail)
    return left


def _order(settings: Settings, tracker: str, outbox: Path, task: str, champion: int) -> SendOrder:
    locations = {
        "mlflow": settings.effective_mlflow_tracking_uri,
        "wandb": settings.tracking.wandb_project,
    }
    folder = str(settings.state_dir / tracker)
    return SendOrder(tracker, locations[tracker], folder, str(outbox), task, champion)


def _start(order: SendOrder, errors: IO[bytes]) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(  # noqa: S603 -- no outside input
        with_parent(sys.executable, "-P", "-m", _MODULE),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        start_new_session=True,
    )
    assert process.stdin is not None  # noqa: S101 -- it is a pipe
    with process.stdin:
        process.stdin.write(json.dumps(asdict(order)).encode())
    return process


def _wait(process: "subprocess.Popen[bytes]", deadline: float) -> None:
    """Wait for a sender, and kill it and what it started at the deadline."""
    try:
        process.wait(max(deadline - time.monotonic(), 0.0))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _link(store: TrackedRunStore, task: str, tracker: str, outbox: Path) -> None:
    """Store the links of the versions whose runs were sent."""
    for path in outbox.glob("*.sent"):
        sent = json.loads(path.read_text())
        if sent["model_version"]:
            store.link(task, sent["model_version"], tracker, sent["link"])
        path.unlink()
