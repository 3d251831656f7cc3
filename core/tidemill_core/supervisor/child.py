"""One child process: how it is started, and how it is ended with all that it started."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tidemill_core.supervisor.exec_with_parent import with_parent
from tidemill_core.supervisor.readiness import VARIABLE, Readiness

RETIRE_SIGNAL = signal.SIGUSR1
"""Asks a worker to end when those that it serves have gone to the worker that follows it."""
_LARGEST_LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class ProcessSpec:
    """A process that the supervisor keeps alive.

    Attributes:
        name: names its log.
        argv: the program and its arguments.
        env: variables added to the supervisor's own environment.
        grace_seconds: how long it may take to end after SIGTERM; then it is killed.
        watch: made with the process's id; says, when asked every second, whether the process
            is broken though it runs. Then it is killed, and started again.
        retire_seconds: where the process can be replaced while it runs, how long it may take to
            end after RETIRE_SIGNAL, its grace not counted; None where it cannot.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = 10.0
    watch: Callable[[int], Callable[[], bool]] | None = None
    retire_seconds: float | None = None


class Child:
    """A started process. It leads a session of its own, so a terminal's Ctrl-C misses it."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        """Start it. The kernel kills it when the thread that calls this ends."""
        bound_log(log)
        self._readiness = Readiness() if spec.retire_seconds is not None else None
        told = {} if self._readiness is None else {VARIABLE: str(self._readiness.descriptor)}
        inherited = () if self._readiness is None else (self._readiness.descriptor,)
        with _opened(log) as output:
            self._process = subprocess.Popen(  # noqa: S603 -- our own programs, no shell
                with_parent(*spec.argv),
                env={**os.environ, **spec.env, **told},
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self._readiness is not None:
            self._readiness.started()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_ready(self) -> bool:
        """Whether it has said that it answers; only one that can be replaced is asked to."""
        return self._readiness is not None and self._readiness.is_ready()

    def exit_code(self) -> int | None:
        """None while it runs; then its exit status, or minus the signal that ended it.

        What it had started in its session is killed with it, before its id can be given to
        another process.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        self._signal_group(signal.SIGKILL)
        return self._waited()

    def terminate(self) -> None:
        """Ask it, not what it started, to end: it ends its own processes in its own order."""
        if self.exit_code() is None:
            os.kill(self.pid, signal.SIGTERM)

    def retire(self) -> None:
        """Ask it to end when those that it serves have gone elsewhere."""
        if self.exit_code() is None:
            os.kill(self.pid, RETIRE_SIGNAL)

    def kill(self) -> None:
        """End it and all that it started in its session, now."""
        if self.exit_code() is None:
            self._signal_group(signal.SIGKILL)
            self._waited()

    def _waited(self) -> int:
        if self._readiness is not None:
            self._readiness.close()
        return self._process.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def bound_log(log: Path) -> None:
    """Set a log over 10 MB aside as `.log.1` and empty it; its process may be writing on.

    The process appends, so it goes on at the new end; what it writes between the copy and the
    cut is lost.
    """
    if not log.exists() or log.stat().st_size <= _LARGEST_LOG_BYTES:
        return
    with contextlib.suppress(OSError):  # a full disk gets its room back all the same
        shutil.copyfile(log, log.with_name(log.name + ".1"))
    with contextlib.suppress(OSError):
        os.truncate(log, 0)


def _opened(log: Path) -> BinaryIO:
    """Open a log to append to; if the disk has no room for a new file, what is written is lost."""
    try:
        return log.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")
