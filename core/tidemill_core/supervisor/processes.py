"""What runs in a stack, for commands beside it: a file in the state directory."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tidemill_core.supervisor.kept import Kept
from tidemill_core.supervisor.lock import StateDirectoryLock

_FILE = "processes.json"


class ProcessState(StrEnum):
    """How a process stands."""

    RUNNING = "RUNNING"
    STARTING = "STARTING"
    DEAD = "DEAD"


@dataclass(frozen=True)
class ProcessStatus:
    """One process of a stack.

    Attributes:
        name: such as `server-1`.
        state: a worker is STARTING until it answers; a process is DEAD between its death and its
            next start.
        pid: its id; 0 while it is dead.
        deaths: how often it ended in a row, without a minute of health between.
    """

    name: str
    state: ProcessState
    pid: int
    deaths: int


def status_of(kept: Kept) -> ProcessStatus:
    """How a process stands now."""
    deaths = kept.restarts.deaths
    if kept.child is None:
        return ProcessStatus(kept.spec.name, ProcessState.DEAD, 0, deaths)
    says_when = kept.spec.retire_seconds is not None
    starting = says_when and not kept.child.is_ready()
    state = ProcessState.STARTING if starting else ProcessState.RUNNING
    return ProcessStatus(kept.spec.name, state, kept.child.pid, deaths)


def write_processes(state_dir: Path, processes: Sequence[ProcessStatus]) -> None:
    """Leave it where `read_processes` finds it, whole at any time."""
    staged = state_dir / f".{_FILE}"
    staged.write_text(json.dumps([asdict(process) for process in processes]))
    staged.replace(state_dir / _FILE)


def read_processes(state_dir: Path) -> list[ProcessStatus]:
    """The processes of the stack that runs on a state directory; none where no stack does."""
    if StateDirectoryLock(state_dir).holder() is None:
        return []
    try:
        found = json.loads((state_dir / _FILE).read_bytes())
    except FileNotFoundError:  # it has taken the directory, and not come further
        return []
    return [ProcessStatus(**{**one, "state": ProcessState(one["state"])}) for one in found]
