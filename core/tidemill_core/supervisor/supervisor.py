"""The supervisor of one stack."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tidemill_core.supervisor.child import Child, ProcessSpec, bound_log
from tidemill_core.supervisor.lock import StateDirectoryLock
from tidemill_core.supervisor.ports import ListeningPort, probe_ports
from tidemill_core.supervisor.restarts import Restarts

_INTERVAL_SECONDS = 0.02
_PORT_PATIENCE_SECONDS = 2.0
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Ended:
    """A process ended though nobody asked it to.

    Attributes:
        name: the process.
        exit_code: its exit status, or minus the signal that ended it.
        restart_seconds: after how many seconds it is started again.
        deaths: how often it ended in a row, without a minute of health between.
        log: where its output is.
    """

    name: str
    exit_code: int
    restart_seconds: float
    deaths: int
    log: Path


@dataclass
class _Kept:
    """A process that is kept alive. `child` is None between its death and its next start."""

    spec: ProcessSpec
    log: Path
    child: Child | None = None
    start_time: float = 0.0
    next_start_time: float = 0.0
    next_look_time: float = 0.0
    is_broken: Callable[[], bool] | None = None
    restarts: Restarts = field(default_factory=Restarts)

    def start(self) -> None:
        self.child = Child(self.spec, self.log)
        self.start_time = time.monotonic()
        if self.spec.watch is not None:
            self.is_broken = self.spec.watch(self.child.pid)

    def poll(self) -> Ended | None:
        """Notice a death, or start again when its time has come."""
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


class Supervisor:
    """Keeps the processes of one stack alive.

    Not thread-safe, and for one long-lived thread: the kernel kills the children when the
    thread that started them ends. That is wanted: however the supervisor dies, nothing of the
    stack stays behind.
    """

    def __init__(
        self,
        processes: Sequence[ProcessSpec],
        state_dir: Path,
        ports: Sequence[ListeningPort] = (),
    ) -> None:
        """Plan a stack; nothing is started yet.

        Args:
            processes: in the order to start; they are ended in the opposite one.
            state_dir: holds the lock and `logs/`.
            ports: what the processes will listen on.
        """
        self._lock = StateDirectoryLock(state_dir)
        self._logs = state_dir / "logs"
        self._ports = tuple(ports)
        self._kept = [_Kept(spec, self._logs / f"{spec.name}.log") for spec in processes]
        self._hurry = False

    def start(self) -> None:
        """Take the state directory, probe the ports and start every process.

        Raises:
            AlreadyRunning: another stack holds the state directory, or a port is taken.
            ConfigurationError: a port cannot be listened on.
        """
        self._lock.acquire()
        try:
            probe_ports(self._ports, _PORT_PATIENCE_SECONDS)
            self._logs.mkdir(exist_ok=True)
            for kept in self._kept:
                kept.start()
        except BaseException:
            self.stop()
            raise

    def poll(self) -> list[Ended]:
        """Restart what died; call it several times a second.

        Returns:
            The deaths that were noticed by this call.
        """
        return [ended for kept in self._kept if (ended := kept.poll()) is not None]

    def pids(self) -> dict[str, int]:
        """The ids of the processes that run, by name."""
        return {kept.spec.name: kept.child.pid for kept in self._kept if kept.child is not None}

    def hurry(self) -> None:
        """Make a `stop` that is under way, or comes, kill at once. Safe in a signal handler."""
        self._hurry = True

    def stop(self) -> None:
        """End the processes one after another, the last started first, and give up the lock.

        Each gets SIGTERM and its grace; what is left of it then is killed.
        """
        for kept in reversed(self._kept):
            if kept.child is not None:
                self._end(kept.child, kept.spec.grace_seconds)
                kept.child = None
        self._lock.release()

    def _end(self, child: Child, grace_seconds: float) -> None:
        child.terminate()
        deadline = time.monotonic() + grace_seconds
        while child.exit_code() is None:
            if self._hurry or time.monotonic() >= deadline:
                child.kill()
                return
            time.sleep(_INTERVAL_SECONDS)
