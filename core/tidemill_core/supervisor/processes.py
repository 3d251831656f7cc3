"""The state of a stack's processes, in a file that other commands read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tidemill_core.supervisor.kept import Kept
from tidemill_core.supervisor.lock import stack_runs

_FILE = "processes.json"


class ProcessState(StrEnum):
    """The state of a process."""

    RUNNING = "RUNNING"
    STARTING = "STARTING"
    DEAD = "DEAD"


@dataclass(frozen=True)
class ProcessStatus:
    """One process of a stack.

    Attributes:
        name: for example `server-1`.
        state: a worker is STARTING until it answers; a process is DEAD between its end and its
            next start.
        pid: the process id; 0 while it is DEAD.
        deaths: ends in a row without a minute of health between them.
    """

    name: str
    state: ProcessState
    pid: int
    deaths: int


def status_of(kept: Kept) -> ProcessStatus:
    """Return the present status of a process."""
    deaths = kept.restarts.deaths
    if kept.child is None:
        return ProcessStatus(kept.spec.name, ProcessState.DEAD, 0, deaths)
    reports = kept.spec.retire_seconds is not None
    starting = reports and not kept.child.is_ready()
    state = ProcessState.STARTING if starting else ProcessState.RUNNING
    return ProcessStatus(kept.spec.name, state, kept.child.pid, deaths)


def write_processes(state_dir: Path, processes: Sequence[ProcessStatus]) -> None:
    """Write the file that `read_processes` reads; it is complete at any time."""
    staged = state_dir / f".{_FILE}"
    staged.write_text(json.dumps([asdict(process) for process in processes]))
    staged.replace(state_dir / _FILE)


def read_processes(state_dir: Path) -> list[ProcessStatus]:
    """Return the processes of the stack that runs on a state directory; none if no stack runs."""
    if not stack_runs(state_dir):
        return []
    try:
        found = json.loads((state_dir / _FILE).read_bytes())
    except FileNotFoundError:  # the stack has only just started
        return []
    return [ProcessStatus(**{**one, "state": ProcessState(one["state"])}) for one in found]
