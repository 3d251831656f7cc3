"""Files and folders that are there whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tidemill_core.durable import sync_folder
from tidemill_core.errors import DataError

STAGED = ".staged-"
"""How the name of what is being written begins."""


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A path beside the target to write a file to in the block; then it takes the target's place.

    Raises:
        DataError: NOT_WRITTEN; nothing of it is left.
    """
    staged = target.with_name(f"{STAGED}{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield staged
        _sync(staged)
        staged.replace(target)
        sync_folder(target.parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _not_written(target, error) from error
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def staged_folder(parent: Path) -> Iterator[Path]:
    """A folder to write into in the block, gone at its end if it was not renamed.

    Raises:
        DataError: NOT_WRITTEN; nothing of it is left.
    """
    folder = parent / f"{STAGED}{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True)
        yield folder
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _not_written(parent, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rename_whole(staged: Path, target: Path) -> None:
    """Give a staged folder its name, once all that is in it is on the disk."""
    for path in (*staged.iterdir(), staged):
        _sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(target)
    sync_folder(target.parent)


def remove_left_over(folder: Path) -> None:
    """Remove what a killed run had begun to write anywhere below a folder."""
    for path in folder.rglob(f"{STAGED}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_written(target: Path, error: Exception) -> DataError:
    cure = "make room, or mend the folder's rights, and run it again: nothing is half-done"
    return DataError("NOT_WRITTEN", f"{target} could not be written: {error}; {cure}")
