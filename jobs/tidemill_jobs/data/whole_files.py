"""Files and folders that are there whole or not at all."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tidemill_core import durable
from tidemill_core.durable import STAGED, sync
from tidemill_core.errors import DataError


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A path beside the target to write a file to in the block; then it takes the target's place.

    Raises:
        DataError: NOT_WRITTEN; nothing of it is left.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with durable.written_whole(target) as staged:
            yield staged
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _not_written(target, error) from error


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
        sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(target)
    sync(target.parent)


def remove_left_over(folder: Path) -> None:
    """Remove what a killed run had begun to write anywhere below a folder."""
    for path in folder.rglob(f"{STAGED}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _not_written(target: Path, error: Exception) -> DataError:
    cure = "make room, or mend the folder's rights, and run it again: nothing is half-done"
    return DataError("NOT_WRITTEN", f"{target} could not be written: {error}; {cure}")
