"""A process that the supervisor keeps alive and can replace while it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tidemill_core.supervisor.child import Child, ProcessSpec, bound_log
from tidemill_core.supervisor.restarts import Restarts

_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Ended:
    """The unrequested end of a process.

    Attributes:
        name: the process.
        exit_code: its exit status, or minus the signal that ended it.
        restart_seconds: seconds until it is started again.
        deaths: ends in a row without a minute of health between them.
        log: the file with its output.
    """

    name: str
    exit_code: int
    restart_seconds: float
    deaths: int
    log: Path


@dataclass
class Kept:
    """A process that is kept alive. `child` is None between its end and its next start."""

    spec: ProcessSpec
    log: Path
    child: Child | None = None
    start_time: float = 0.0
    next_start_time: float = 0.0
    next_look_time: float = 0.0
    is_broken: Callable[[], bool] | None = None
    restarts: Restarts = field(default_factory=Restarts)

    def start(self) -> None:
        """Start the process."""
        self.follow(Child(self.spec, self.log))

    def follow(self, child: Child) -> None:
        """Keep this child alive, in place of the child so far."""
        self.child = child
        self.start_time = time.monotonic()
        if self.spec.watch is not None:
            self.is_broken = self.spec.watch(child.pid)

    def poll(self) -> Ended | None:
        """Check whether the process ended, and start it again when its delay is over."""
        now = time.monotonic()
        if self.child is None:
            if now >= self.next_start_time:
                self.start()
            return None
        if now >= self.next_look_time:
            self.next_look_time = now + _LOOK_SECONDS
            bound_log(self.log)
            if self.is_broken is not None and self.is_broken():
                self.child.kill()
        code = self.child.exit_code()
        if code is None:
            return None
        self.restarts = self.restarts.after_death(now - self.start_time)
        delay = self.restarts.delay_seconds
        self.child, self.next_start_time = None, now + delay
        return Ended(self.spec.name, code, delay, self.restarts.deaths, self.log)
