"""Files that survive a power cut."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STAGED = ".staged-"
"""How the name of what is being written begins."""


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk; its name is not, before `sync`."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A path beside the target to write a file to in the block; then it takes the target's place.

    Raises:
        OSError: it could not be; nothing of it is left.
    """
    staged = target.with_name(f"{STAGED}{uuid.uuid4().hex}")
    try:
        yield staged
        sync(staged)
        staged.replace(target)
        sync(target.parent)
    finally:
        staged.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file is on the disk, or the names in a folder are."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
