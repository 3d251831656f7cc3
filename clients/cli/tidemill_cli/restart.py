"""`tidemill restart`."""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tidemill_cli.failure import CommandFailed, NothingRuns
from tidemill_cli.local import require_extras, workspace_settings
from tidemill_cli.options import AsJson
from tidemill_cli.output import print_json, say

if TYPE_CHECKING:  # imported at run time once the extras are known to be installed
    from tidemill_core.supervisor import RestartReport, RestartStep

app = typer.Typer(add_completion=False)
_INTERVAL_SECONDS = 0.1
_BEGIN_SECONDS = 30.0
_REPORT_BYTES = 4096
"""Room for the stack's report of the restart."""


@app.command(epilog="Example: tidemill restart && tidemill status")
def restart(as_json: AsJson = False) -> None:
    """Replace the server's workers one at a time, without a failed request.

    Each new worker reads tidemill.toml and the installed code again. The number of workers, their
    ports, the jobs and Triton keep their settings until `tidemill up` starts again. If a new worker
    does not answer, the restart stops: the other old workers go on, and the exit code is 1.
    """
    require_extras()
    # The supervisor's packages are part of the extras.
    from tidemill_core.supervisor import StepState

    state_dir = workspace_settings().state_dir
    said: set[tuple[str, str]] = set()
    for report in _reports(state_dir):
        for step in report.steps:
            if step.state is not StepState.WAITING and (step.worker, step.state) not in said:
                said.add((step.worker, step.state))
                say(_line(step))
    if as_json:
        print_json({"succeeded": report.succeeded, **asdict(report)})
    if not report.succeeded:
        error = next(step.error for step in report.steps if step.error)
        raise CommandFailed(f"not every worker was replaced; the old ones go on. {error}")


def _reports(state_dir: Path) -> "Iterator[RestartReport]":
    """Ask for a restart, and yield its report again and again until it is over.

    Raises:
        NothingRuns: no stack runs here.
        CommandFailed: another restart is in progress, the disk is full, or the stack ends.
    """
    from tidemill_core.supervisor import RESTART_SIGNAL, StateDirectoryLock, read_report

    lock = StateDirectoryLock(state_dir)
    holder, before = lock.holder(), read_report(state_dir)
    if holder is None:
        raise NothingRuns(f"no stack runs on {state_dir}: start `tidemill up`")
    if before is not None and str(before.supervisor) == holder and not before.ended:
        raise CommandFailed("another restart is in progress: wait until it is over")
    _require_space(state_dir)
    os.kill(int(holder), RESTART_SIGNAL)
    deadline = time.monotonic() + _BEGIN_SECONDS
    while (report := read_report(state_dir)) is None or report == before:
        if time.monotonic() > deadline or lock.holder() != holder:
            raise CommandFailed(f"the stack (process {holder}) has not begun to restart")
        time.sleep(_INTERVAL_SECONDS)
    while not report.ended:
        yield report
        if lock.holder() != holder:
            raise CommandFailed("the stack ended before every worker was replaced")
        time.sleep(_INTERVAL_SECONDS)
        report = read_report(state_dir) or report
    yield report


def _require_space(state_dir: Path) -> None:
    """Raise CommandFailed on a full disk, where a worker holds its predictions in memory."""
    try:
        with tempfile.TemporaryFile(dir=state_dir) as file:
            file.write(bytes(_REPORT_BYTES))
    except OSError as error:
        raise CommandFailed(
            f"{state_dir} cannot be written ({error.strerror}): free space first, because a worker "
            "that ends now loses the predictions that it holds in memory"
        ) from error


def _line(step: "RestartStep") -> str:
    match step.state.value:
        case "STARTING":
            return f"{step.worker}: process {step.new_pid} starts"
        case "DRAINING":
            return f"{step.worker}: it answers; process {step.old_pid} finishes its calls"
        case "DONE":
            return f"{step.worker}: process {step.old_pid} has ended"
        case _:
            return f"{step.worker}: process {step.new_pid} failed"
