"""A rolling restart: it replaces the workers one at a time, without a failed call."""

import json
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from tidemill_core.supervisor.child import Child
from tidemill_core.supervisor.kept import Kept

RESTART_SIGNAL = signal.SIGUSR1
"""Asks the supervisor for a rolling restart. It is not SIGHUP, which a closed terminal sends."""
READY_SECONDS = 60.0
"""The time that a new worker has until it must answer."""
REPORT_FILE = "restart.json"
"""The file in the state directory with the report of the latest rolling restart."""


class StepState(StrEnum):
    """The state of one worker's replacement, in this order."""

    WAITING = "WAITING"
    STARTING = "STARTING"
    DRAINING = "DRAINING"
    DONE = "DONE"
    FAILED = "FAILED"


@dataclass(frozen=True)
class RestartStep:
    """The replacement of one worker.

    Attributes:
        worker: the worker's name.
        state: the state of the replacement.
        old_pid: the process to replace; 0 if it was not running.
        new_pid: the process that replaces it; 0 before it is started.
        error: why the replacement failed; empty if it did not.
    """

    worker: str
    state: StepState = StepState.WAITING
    old_pid: int = 0
    new_pid: int = 0
    error: str = ""


@dataclass(frozen=True)
class RestartReport:
    """The progress of a rolling restart.

    Attributes:
        number: the restart's number in its stack, from 1.
        supervisor: the id of the supervisor's process.
        ended: whether the restart is over.
        steps: one for each worker, in order.
    """

    number: int
    supervisor: int
    ended: bool
    steps: tuple[RestartStep, ...]

    @property
    def succeeded(self) -> bool:
        """Whether every worker was replaced."""
        return self.ended and all(step.state is StepState.DONE for step in self.steps)

    def write(self, state_dir: Path) -> None:
        """Write the file that `read_report` reads; it is complete at any time."""
        staged = state_dir / f".{REPORT_FILE}"
        staged.write_text(json.dumps(asdict(self)))
        staged.replace(state_dir / REPORT_FILE)


def read_report(state_dir: Path) -> RestartReport | None:
    """Return the report of the latest rolling restart; None if there was none."""
    try:
        fields = json.loads((state_dir / REPORT_FILE).read_bytes())
    except FileNotFoundError:
        return None
    steps = [
        RestartStep(**{**step, "state": StepState(step["state"])}) for step in fields.pop("steps")
    ]
    return RestartReport(**fields, steps=tuple(steps))


class RollingRestart:
    """Replaces workers one after another; each starts after the one before has ended.

    The new worker starts next to the old one, and the old one is asked to end once the new one
    answers, so there are never fewer workers than before. If a new worker does not answer, it is
    killed, the remaining old workers go on, and the restart has failed.
    """

    def __init__(self, workers: Sequence[Kept]) -> None:
        self._workers = tuple(workers)
        self._at = 0
        self._follower: Child | None = None
        self._retiring: Child | None = None
        self._deadline = 0.0
        self.ended = not workers
        self.steps = tuple(
            RestartStep(kept.spec.name, old_pid=0 if kept.child is None else kept.child.pid)
            for kept in workers
        )

    def children(self) -> list[tuple[Child, float]]:
        """Return the children that belong to no `Kept` at the moment, each with its grace."""
        grace = self._workers[self._at].spec.grace_seconds if not self.ended else 0.0
        both = (self._follower, self._retiring)
        return [(child, grace) for child in both if child is not None]

    def poll(self) -> None:
        """Take the next step if it is due."""
        if self.ended:
            return
        if self._retiring is not None:
            self._await_end(self._retiring)
        elif self._follower is not None:
            self._await_readiness(self._follower)
        else:
            self._start_follower()

    def _start_follower(self) -> None:
        kept = self._workers[self._at]
        self._follower = Child(kept.spec, kept.log)
        self._deadline = time.monotonic() + READY_SECONDS
        old_pid = 0 if kept.child is None else kept.child.pid
        self._note(StepState.STARTING, old_pid=old_pid, new_pid=self._follower.pid)

    def _await_readiness(self, follower: Child) -> None:
        kept = self._workers[self._at]
        if (code := follower.exit_code()) is not None:
            self._fail(f"the new process ended with code {code} before it answered: see {kept.log}")
        elif follower.is_ready():
            self._follower, self._retiring = None, kept.child
            kept.follow(follower)
            if self._retiring is not None:
                self._retiring.retire()
            self._deadline = time.monotonic() + kept.spec.grace_seconds
            self._deadline += kept.spec.retire_seconds or 0.0
            self._note(StepState.DRAINING)
        elif time.monotonic() >= self._deadline:
            follower.kill()
            self._fail(f"the new process did not answer in {READY_SECONDS:g} s: see {kept.log}")

    def _await_end(self, retiring: Child) -> None:
        if retiring.exit_code() is None and time.monotonic() < self._deadline:
            return
        retiring.kill()  # does nothing if it has ended
        self._retiring = None
        self._note(StepState.DONE)
        self._at += 1
        self.ended = self._at == len(self._workers)

    def _fail(self, error: str) -> None:
        self._follower = None
        self._note(StepState.FAILED, error=error)
        self.ended = True

    def _note(
        self, state: StepState, *, old_pid: int = 0, new_pid: int = 0, error: str = ""
    ) -> None:
        known = self.steps[self._at]
        step = RestartStep(
            known.worker, state, old_pid or known.old_pid, new_pid or known.new_pid, error
        )
        self.steps = (*self.steps[: self._at], step, *self.steps[self._at + 1 :])
