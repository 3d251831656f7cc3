"""`tidemill restart`."""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tidemill_cli.failure import CommandFailed, NothingRuns
from tidemill_cli.local import require_extras
from tidemill_cli.output import AsJson, print_json, say
from tidemill_core.settings import load_settings

if TYPE_CHECKING:  # at run time it is imported where the extras are known to be there
    from tidemill_core.supervisor import RestartReport, RestartStep

app = typer.Typer(add_completion=False)
_EXAMPLE = "Example: tidemill restart && tidemill status"
_INTERVAL_SECONDS = 0.1
_BEGIN_SECONDS = 30.0


@app.command(epilog=_EXAMPLE)
def restart(as_json: AsJson = False) -> None:
    """Replace the server's workers one at a time, without a failed request.

    Each new worker reads tidemill.toml and the installed code again. What the workers share (their
    number and ports), the jobs and Triton keep their settings until `tidemill up` is started again.
    If a new worker does not answer, the restart stops: the old ones go on, and the exit code is 1.
    """
    require_extras()
    # The supervisor's packages come with the extras only.
    from tidemill_core.supervisor import StepState

    state_dir = load_settings().state_dir
    told: set[tuple[str, str]] = set()
    for report in _reports(state_dir):
        for step in report.steps:
            if step.state is not StepState.WAITING and (step.worker, step.state) not in told:
                told.add((step.worker, step.state))
                say(_line(step))
    if as_json:
        print_json({"succeeded": report.succeeded, **asdict(report)})
    if not report.succeeded:
        error = next(step.error for step in report.steps if step.error)
        raise CommandFailed(f"not every worker is a new one; the others go on. {error}")


def _reports(state_dir: Path) -> "Iterator[RestartReport]":
    """Ask for a restart; what it has done so far, again and again until it is over.

    Raises:
        CommandFailed: no stack runs here, another restart is under way, or the stack ends.
    """
    from tidemill_core.supervisor import RESTART_SIGNAL, StateDirectoryLock, read_report

    lock = StateDirectoryLock(state_dir)
    holder, before = lock.holder(), read_report(state_dir)
    if holder is None:
        raise NothingRuns(f"no stack runs on {state_dir}: start `tidemill up`")
    if before is not None and str(before.supervisor) == holder and not before.ended:
        raise CommandFailed("a restart is under way already: wait until it is over")
    os.kill(int(holder), RESTART_SIGNAL)
    deadline = time.monotonic() + _BEGIN_SECONDS
    while (report := read_report(state_dir)) is None or report == before:
        if time.monotonic() > deadline or lock.holder() != holder:
            raise CommandFailed(f"the stack (process {holder}) has not begun to restart")
        time.sleep(_INTERVAL_SECONDS)
    while not report.ended:
        yield report
        if lock.holder() != holder:
            raise CommandFailed("the stack was ended before every worker was a new one")
        time.sleep(_INTERVAL_SECONDS)
        report = read_report(state_dir) or report
    yield report


def _line(step: "RestartStep") -> str:
    match step.state.value:
        case "STARTING":
            return f"{step.worker}: process {step.new_pid} is started"
        case "DRAINING":
            return f"{step.worker}: it answers; process {step.old_pid} lets its callers go"
        case "DONE":
            return f"{step.worker}: process {step.old_pid} has ended"
        case _:
            return f"{step.worker}: process {step.new_pid} failed"
