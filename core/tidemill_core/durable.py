"""Files that survive a power cut, and the hashes that show damage."""

import errno
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidemill_core.errors import DataError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""The system's numbers for a disk, or a user's part of it, without room."""
STAGED = ".staged-"
"""The start of the names of files that are being written."""
_ERROR_NUMBER = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)
"""The system's number of an error in the messages of Polars and Arrow, which wrap it."""

_ENDPOINT = re.compile(r'(endpoint URL: "\w+://[^/"]*)[^"]*')
"""The start of a URL in the messages of AWS's tools, and the object and parameters after it."""


class NotWritten(DataError):
    """A file or a folder that cannot be written, why, and what to do."""

    def __init__(self, place: object, detail: str, cure: str) -> None:
        super().__init__("NOT_WRITTEN", f"{place} cannot be written: {detail}; {cure}")


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk; `sync` the folder for its name."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yield a path next to the target, and replace the target by the file written there.

    Raises:
        OSError: the file could not be written or moved; nothing of it is left.
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
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cause(error: Exception) -> str:
    """Return why a file could not be read or written, in the system's words if it has any."""
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if found := _ERROR_NUMBER.search(said):
        return os.strerror(int(found[1] or found[2]))
    return _ENDPOINT.sub(r"\1", said).removesuffix(".")  # more words follow


def move_folder(staged: Path, target: Path) -> bool:
    """Give a filled folder its name; return False if another process was faster.

    Raises:
        OSError: the folder cannot be moved.
    """
    sync(staged)
    try:
        staged.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    sync(target.parent)
    return True


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
