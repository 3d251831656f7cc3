"""One child process, which ends with all processes that it started."""

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
from tidemill_core.supervisor.listening import SharedPort, inheritance
from tidemill_core.supervisor.readiness import VARIABLE, Readiness

RETIRE_SIGNAL = signal.SIGUSR1
"""Asks a worker to end once its callers have moved to the worker that replaces it."""
_LARGEST_LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class ProcessSpec:
    """A process that the supervisor keeps alive.

    Attributes:
        name: the name of the process and of its log.
        argv: the program and its arguments.
        env: variables added to the supervisor's own environment.
        grace_seconds: time to end after SIGTERM; then the process is killed.
        watch: takes the process's id and returns a function. That function is called every second
            and returns whether the process is broken though it runs; a broken process is killed
            and started again.
        retire_seconds: time to end after RETIRE_SIGNAL, in addition to the grace, for a process
            that can be replaced while it runs; None for any other.
        ports: the ports that it shares with other processes.
        files: it is replaced when they change.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = 10.0
    watch: Callable[[int], Callable[[], bool]] | None = None
    retire_seconds: float | None = None
    ports: tuple[SharedPort, ...] = ()
    files: tuple[Path, ...] = ()


class Child:
    """A started process. It has its own session, so a terminal's Ctrl-C does not reach it."""

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        """Start the process. The kernel kills it when the calling thread ends."""
        bound_log(log)
        self._readiness = Readiness() if spec.retire_seconds is not None else None
        variables, inherited = inheritance(spec.ports)
        if self._readiness is not None:
            variables[VARIABLE] = str(self._readiness.descriptor)
            inherited.append(self._readiness.descriptor)
        with _opened(log) as output:
            self._process = subprocess.Popen(  # noqa: S603 -- our own programs, no shell
                with_parent(*spec.argv),
                env={**os.environ, **spec.env, **variables},
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
        """The process id."""
        return self._process.pid

    def is_ready(self) -> bool:
        """Return whether it has reported that it answers; False if it cannot be replaced."""
        return self._readiness is not None and self._readiness.is_ready()

    def exit_code(self) -> int | None:
        """Return None while the process runs, then its exit status, or minus the signal.

        Once it has ended, kill what it started in its session, before the kernel can give its id
        to another process.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return None
        self._signal_group(signal.SIGKILL)
        return self._waited()

    def terminate(self) -> None:
        """Ask the process to end; it ends the processes that it started in its own order."""
        if self.exit_code() is None:
            os.kill(self.pid, signal.SIGTERM)

    def retire(self) -> None:
        """Ask the process to end once its callers have moved to another."""
        if self.exit_code() is None:
            os.kill(self.pid, RETIRE_SIGNAL)

    def kill(self) -> None:
        """Kill the process and all that it started in its session."""
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
    """Move the content of a log over 10 MB to `.log.1`; its process may go on writing.

    The process appends, so it goes on at the new end. What it writes between the copy and the
    truncation is lost.
    """
    if not log.exists() or log.stat().st_size <= _LARGEST_LOG_BYTES:
        return
    with contextlib.suppress(OSError):  # on a full disk, truncate all the same
        shutil.copyfile(log, log.with_name(log.name + ".1"))
    with contextlib.suppress(OSError):
        os.truncate(log, 0)


def _opened(log: Path) -> BinaryIO:
    """Open a log to append to; if the disk has no room for a new file, the output is lost."""
    try:
        return log.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")
