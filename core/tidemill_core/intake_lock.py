"""The lock on a task's landed rows and its dataset versions.

Builds, erasures and rebuilds hold it, and so do commands that remove rows of versions. The kernel
releases it when its holder ends, even by a kill.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

_LOCK = ".lock"
_POLL_SECONDS = 0.2


@contextmanager
def intake_lock(folder: Path, waits: Callable[[], object]) -> Iterator[None]:
    """Wait for a task's lock and hold it for the block.

    Args:
        folder: the folder of the task's landed rows, `<state_dir>/intake/<task>`.
        waits: called several times a second while another process holds the lock; raises to give
            up.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def gives_up() -> bool:
        waits()
        return False

    lock = FileLock(folder / _LOCK)
    with lock.acquire(poll_interval=_POLL_SECONDS, cancel_check=gives_up):
        yield
