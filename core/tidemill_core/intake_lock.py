"""One at a time changes what a task landed and the dataset versions made of it.

Builds, erasures and rebuilds hold the lock, and so does who removes rows of versions. The kernel
frees it when its holder ends, however that happens.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

_LOCK = ".lock"
_POLL_SECONDS = 0.2


@contextmanager
def intake_lock(folder: Path, waits: Callable[[], object]) -> Iterator[None]:
    """Hold a task's lock for the block; waits for who holds it.

    Args:
        folder: where the task's rows land, `<state_dir>/intake/<task>`.
        waits: called several times a second while another holds it; raises to give up.

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
