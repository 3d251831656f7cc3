"""The files that commands write, completely or not at all."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill_cli.failure import AlreadyThere, CannotWrite, CommandFailed, WrongUsage
from tidemill_cli.local import require_extras
from tidemill_core.csv_formulas import FORMULA
from tidemill_core.dataset_folder import EXAMPLES_FILE, damaged, has_rows, rows_removed
from tidemill_core.durable import cause, written_whole
from tidemill_core.object_storage import ObjectStorage, same_name

if TYPE_CHECKING:  # part of the extra [jobs], and takes a while to import
    import polars as pl

EXPORTS = (".parquet", ".jsonl", ".csv")
"""The suffixes that give the format of the rows."""


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file next to the target with `write`, and rename it to the target.

    Raises:
        CannotWrite: it cannot be written; no part of it is left.
    """
    try:
        with written_whole(target) as staged:
            write(staged)
    except OSError as error:
        raise CannotWrite(target, error) from error


def require_writable(target: Path) -> None:
    """Require that a file can be written, before the work for it begins; leave nothing behind.

    Raises:
        CannotWrite: there is a folder with its name, or its folder is missing or read-only.
    """
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        with tempfile.TemporaryFile(dir=target.absolute().parent):
            pass
    except OSError as error:
        raise CannotWrite(target, error) from error


class ExportPlace:
    """A place that gets a file, completely or not at all.

    Args:
        written: as on the command line: a path, or a URL such as `s3://bucket/train.parquet`.

    Raises:
        WrongUsage: the URL names no bucket or folder.
    """

    def __init__(self, written: str) -> None:
        self._written = written
        self._path = Path(written).absolute()
        parent, _, self._name = written.rpartition("/")
        if "://" in written and not parent.partition("://")[2]:
            raise WrongUsage(f"{written}: write a bucket or folder before the file's name")
        self._storage = ObjectStorage(parent, same_name) if "://" in written else None

    @property
    def suffix(self) -> str:
        """The end of the file's name, with its dot."""
        return self._path.suffix

    def refuse_existing(self, remedy: str) -> None:
        """Raise AlreadyThere if there is such a file."""
        storage = self._storage
        if self._path.exists() if storage is None else storage.exists(self._name):
            raise AlreadyThere(self._written, remedy)

    def require_writable(self) -> None:
        """Raise CannotWrite if no file can be written to this path; nothing is left behind."""
        if self._storage is None:
            require_writable(self._path)

    def write(self, write: Callable[[Path], object]) -> None:
        """Write the file with a function of a path.

        Raises:
            CannotWrite: it cannot be written; no part of it is left.
            ObjectStorageUnavailable, ObjectStorageRefused: it cannot be stored.
        """
        if self._storage is None:
            write_whole(self._path, write)
            return
        with tempfile.TemporaryDirectory() as folder:
            staged = Path(folder) / self._name
            write_whole(staged, write)
            self._storage.upload(self._name, staged)


def require_suffix(target: Path, suffixes: tuple[str, ...]) -> None:
    """Require that a file has one of these suffixes.

    Raises:
        WrongUsage: it has another one.
    """
    if target.suffix not in suffixes:
        known = " or ".join((", ".join(suffixes[:-1]), suffixes[-1]))
        raise WrongUsage(f"{target}: the file's name must end in {known}")


def read_examples(folder: Path, columns: list[str] | None = None) -> "pl.DataFrame":
    """Return the rows of a version, in all columns or some.

    Raises:
        ExtrasMissing: the packages that read the rows are not installed.
        DataError: DATASET_REMOVED or DATASET_DAMAGED.
    """
    require_extras()
    import polars as pl

    if not has_rows(folder):
        raise rows_removed(folder)
    path = folder / EXAMPLES_FILE
    try:
        return pl.read_parquet(path, columns=columns, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise damaged(path, error) from error


def export_rows(folder: Path, target: ExportPlace, split: str, *, raw: bool) -> tuple[int, int]:
    """Write a version's rows, ordered by the hashes of their texts.

    Args:
        folder: the version's folder.
        target: the place; its suffix, one of EXPORTS, gives the format.
        split: the split to write; empty for all.
        raw: whether cells of a CSV that look like formulas stay unchanged.

    Returns:
        The number of rows, and the number of cells that got an apostrophe in front.

    Raises:
        ExtrasMissing: the packages that read the rows are not installed.
        DataError: DATASET_REMOVED or DATASET_DAMAGED.
        CommandFailed: there are no rows, or the file cannot be written.
    """
    rows = read_examples(folder)
    import polars as pl

    if split:
        rows = rows.filter(pl.col("split") == split)
    if not len(rows):
        raise CommandFailed(f"there is nothing to export: no row is in the split {split!r}")
    changed = 0
    if target.suffix == ".csv" and not raw:
        guarded = rows.with_columns(pl.col(pl.String).str.replace(FORMULA, "'${0}"))
        changed = sum(int((guarded[name] != rows[name]).sum()) for name in rows.columns)
        rows = guarded
    writers: dict[str, Callable[[Path], None]] = {
        ".parquet": rows.write_parquet,
        ".jsonl": rows.write_ndjson,
        ".csv": rows.write_csv,
    }

    def write(staged: Path) -> None:
        try:
            writers[target.suffix](staged)
        except pl.exceptions.PolarsError as error:  # so it calls a full disk for Parquet
            raise OSError(cause(error)) from error

    target.write(write)
    return len(rows), changed
