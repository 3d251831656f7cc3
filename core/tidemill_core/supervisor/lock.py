"""The lock that allows one stack per state directory."""

import fcntl
import os
import time
from pathlib import Path

from tidemill_core.errors import AlreadyRunning

_PATIENCE_SECONDS = 0.3


class StateDirectoryLock:
    """A lock that the kernel releases when its holder ends, even by a kill."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._descriptor = -1

    def acquire(self) -> None:
        """Take the lock; create the state directory if it is missing.

        Raises:
            AlreadyRunning: another process holds the lock.
        """
        self._state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Children do not inherit the descriptor, so the lock ends with this process.
        path = self._state_dir / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(descriptor)
        except BlockingIOError as error:
            holder = _written_pid(descriptor)
            os.close(descriptor)
            raise AlreadyRunning(
                f"a stack already runs on {self._state_dir} (process {holder}): stop it, "
                "or set TIDEMILL_STATE_DIR to another folder"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def holder(self) -> str | None:
        """Return the id of the process that holds the lock; None if it is free."""
        try:
            descriptor = os.open(self._state_dir / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _written_pid(descriptor)
        finally:
            os.close(descriptor)
        return None

    def release(self) -> None:
        """Release the lock. The file stays: if it were removed, two stacks could lock two files."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def stack_runs(state_dir: Path) -> bool:
    """Return whether a stack runs on a state directory."""
    return StateDirectoryLock(state_dir).holder() is not None


def _lock(descriptor: int) -> None:
    """Take the lock. Wait a moment, because `holder` holds it for a moment.

    Raises:
        BlockingIOError: another process holds it.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
            time.sleep(_PATIENCE_SECONDS / 10)
        else:
            return


def _written_pid(descriptor: int) -> str:
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
