"""Files that commands on datasets write: whole, or not at all."""

from collections.abc import Callable
from pathlib import Path

from tidemill_cli.failure import CannotWrite, CommandFailed, WrongUsage
from tidemill_cli.local import require_extras
from tidemill_core.dataset_folder import EXAMPLES_FILE, damaged, has_rows, rows_removed
from tidemill_core.durable import written_whole

EXPORTS = (".parquet", ".jsonl", ".csv")
"""Suffixes that say how rows are written."""
FORMULA = "^'*[=+@\t\r\n\uff0b\uff0d\uff1d\uff20-]"
"""What spreadsheets take for a formula, in full width too; also behind apostrophes, so that the one
that an export adds can be told from a text's own."""


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside the target, and give it the target's name.

    Raises:
        CommandFailed: it cannot be written there; nothing of it is left.
    """
    try:
        with written_whole(target) as staged:
            write(staged)
    except OSError as error:
        raise CannotWrite(target, error) from error


def require_suffix(target: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a file whose name does not say what it is to be.

    Raises:
        WrongUsage: its suffix is none of these.
    """
    if target.suffix not in suffixes:
        known = " or ".join(suffixes)
        raise WrongUsage(f"{target}: the file's name must end in {known}")


def export_rows(folder: Path, target: Path, split: str, *, raw: bool) -> tuple[int, int]:
    """Write a version's rows, in the order of their texts' hashes.

    Args:
        folder: the version's.
        target: the file; its suffix, one of EXPORTS, says how it is written.
        split: only this one's rows; empty takes all.
        raw: whether a CSV gets every cell as it is, also one that a spreadsheet would run.

    Returns:
        How many rows were written, and how many cells got an apostrophe in front.

    Raises:
        ExtrasMissing: the packages that read the rows are not installed.
        DataError: DATASET_REMOVED or DATASET_DAMAGED.
        CommandFailed: there are no rows, or the file cannot be written.
    """
    require_extras()
    import polars as pl

    if not has_rows(folder):
        raise rows_removed(folder)
    try:
        rows = pl.read_parquet(folder / EXAMPLES_FILE, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise damaged(folder / EXAMPLES_FILE, error) from error
    if split:
        rows = rows.filter(pl.col("split") == split)
    if not len(rows):
        raise CommandFailed(f"there is nothing to export: no row of the split {split!r}")
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
    write_whole(target, writers[target.suffix])
    return len(rows), changed
