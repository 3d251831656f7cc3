"""The restart of a process that takes too much memory, while a stand-in answers in its place."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tidemill_core.counted import counted
from tidemill_core.durable import cause
from tidemill_core.supervisor.child import Child, ProcessSpec
from tidemill_core.supervisor.kept import Kept

_LOOK_SECONDS = 1.0
_START_SECONDS = 120.0
_NOTICE_SECONDS = 2.0
"""More than callers take to notice which of the two answer."""
_MOST_REST_SECONDS = 24 * 3600.0
_OVER = object()


@dataclass(frozen=True)
class StandIn:
    """How a process is restarted without a failed call.

    Attributes:
        spec: the stand-in, which answers as the process does, at another address.
        successor: the process, as it is started again next to the stand-in.
        port: the port that both listen on, each on its own address.
        address: host:port of the stand-in.
        file: has the address while callers may use it.
        is_due: takes the id of the process; returns why it must be restarted, or None. It is
            called every second.
        note: takes what happens, for people.
        rest_seconds: least time between two restarts. It doubles, up to a day, each time that the
            process is due again soon, so a bound that is too low costs few restarts.
    """

    spec: ProcessSpec
    successor: ProcessSpec
    port: int
    address: str
    file: Path
    is_due: Callable[[int], str | None]
    note: Callable[[str], None]
    rest_seconds: float = 600.0


class Relief:
    """Restarts a process each time that it is due."""

    def __init__(self, kept: Kept, stand_in: StandIn) -> None:
        self._kept = kept
        self._stand_in = stand_in
        self._steps: Iterator[None] | None = None
        self._next_look = 0.0
        self._rest_seconds = stand_in.rest_seconds
        self._soon_until = 0.0
        self._others: list[Child] = []
        stand_in.file.unlink(missing_ok=True)  # of a stack that was killed

    def children(self) -> list[tuple[Child, float]]:
        """Return the children that belong to no `Kept` at the moment, each with its grace."""
        return [(child, self._kept.spec.grace_seconds) for child in self._others]

    def poll(self) -> None:
        """Look whether a restart is due, or take its next step."""
        now = time.monotonic()
        if self._steps is not None:
            if next(self._steps, _OVER) is _OVER:
                self._steps, self._next_look = None, now + self._rest_seconds
                self._soon_until = self._next_look + self._rest_seconds
        elif now >= self._next_look and self._kept.child is not None:
            self._next_look = now + _LOOK_SECONDS
            if (reason := self._stand_in.is_due(self._kept.child.pid)) is not None:
                self._note(f"is restarted: {reason}")
                self._rest_seconds = self._next_rest(now)
                self._steps = self._restart()

    def _next_rest(self, now: float) -> float:
        """Return the time between the restart that begins now and the next one."""
        if now >= self._soon_until:
            return self._stand_in.rest_seconds
        rest = min(2 * self._rest_seconds, _MOST_REST_SECONDS)
        self._note(
            f"is above the bound again soon after the last try, so the next one is at least "
            f"{counted(round(rest / 60), 'minute')} later: raise the bound if it needs that much"
        )
        return rest

    def _note(self, what: str) -> None:
        self._stand_in.note(f"{self._kept.spec.name} {what}")

    def _restart(self) -> Iterator[None]:
        try:
            stand_in = Child(self._stand_in.spec, self._kept.log)
        except OSError as error:  # no memory for another process
            self._note(f"is not restarted: {cause(error)}")
            return
        self._others.append(stand_in)
        yield from _until(
            lambda: stand_in.exit_code() is not None or _listens(stand_in, self._stand_in.port),
            _START_SECONDS,
        )
        if not _listens(stand_in, self._stand_in.port):
            self._note("is not restarted: its stand-in does not start")
        elif self._is_announced():
            yield from _until(lambda: False, _NOTICE_SECONDS)
            yield from self._replace()
            yield from _until(self._answers, math.inf)
            yield from _until(lambda: False, _NOTICE_SECONDS)
            self._note("has restarted")
        yield from self._end(stand_in)
        self._stand_in.file.unlink(missing_ok=True)

    def _is_announced(self) -> bool:
        """Write the stand-in's address into the file; return whether that succeeded."""
        try:
            self._stand_in.file.write_text(self._stand_in.address)
        except OSError as error:  # a full disk must not end the stack
            self._note(f"is not restarted: {cause(error)}")
            return False
        return True

    def _replace(self) -> Iterator[None]:
        old = self._kept.child
        if old is None:  # it has just died, so it is started anyway
            return
        # Its end is no death.
        self._kept.child, self._kept.next_start_time = None, math.inf
        self._others.append(old)
        yield from self._end(old)
        self._kept.follow(Child(self._stand_in.successor, self._kept.log))

    def _answers(self) -> bool:
        child = self._kept.child
        return child is not None and _listens(child, self._stand_in.port)

    def _end(self, child: Child) -> Iterator[None]:
        child.terminate()
        yield from _until(lambda: child.exit_code() is not None, self._kept.spec.grace_seconds)
        child.kill()  # does nothing if it has ended
        self._others.remove(child)


def _until(is_over: Callable[[], bool], seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while not is_over() and time.monotonic() < deadline:
        yield


def _listens(child: Child, port: int) -> bool:
    """Return whether a child itself listens on a port: another user's process may, too."""
    if child.exit_code() is not None:
        return False
    try:
        sockets = psutil.Process(child.pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in sockets)
