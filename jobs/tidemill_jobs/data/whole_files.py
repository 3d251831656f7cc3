"""Files and folders that are written completely or not at all, and rows that are read from them."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tidemill_core import durable
from tidemill_core.durable import STAGED, NotWritten, cause, sync
from tidemill_core.errors import DataError


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give the block a temporary path to write to; the file then replaces the target.

    Raises:
        NotWritten: the target is unchanged.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with durable.written_whole(target) as staged:
            yield staged
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _not_written(target, error) from error


@contextmanager
def staged_folder(parent: Path) -> Iterator[Path]:
    """Give the block a temporary folder to write into; remove it unless the block renames it.

    Raises:
        NotWritten: the temporary folder is removed.
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
    """Give a staged folder its final name, once its files are on the disk."""
    for path in (*staged.iterdir(), staged):
        sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(target)
    sync(target.parent)


def read_rows(
    path: Path,
    damaged: Callable[[Path, Exception], DataError],
    columns: list[str] | None = None,
) -> pl.DataFrame:
    """Return the rows of a Parquet file, in all columns or some.

    Raises:
        DataError: `damaged`, if the file cannot be read.
    """
    try:
        return pl.read_parquet(path, columns=columns, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise damaged(path, error) from error


def remove_left_over(folder: Path) -> None:
    """Remove unfinished files of a killed run, anywhere below a folder."""
    for path in folder.rglob(f"{STAGED}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _not_written(target: Path, error: Exception) -> DataError:
    cure = "make room on the disk, or fix the folder's permissions, and run it again"
    return NotWritten(target, cause(error), cure)
