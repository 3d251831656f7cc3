"""The texts of an evaluation's worst errors.

A run's result never holds texts, because it is kept after they are erased. So the command reads
them from the file again, if it lies on this machine.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill_cli.example_file import text_lines
from tidemill_cli.failure import CommandFailed

if TYPE_CHECKING:  # of the jobs
    import pyarrow as pa

_ROWS_AT_ONCE = 1_000
_ORIGIN = re.compile(r"(?P<file>.+):(?P<number>[0-9]+)")


def with_lines(result: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return an evaluation whose worst errors have a `line` each, as far as this machine has it.

    Args:
        result: the evaluation.
        place: the path or URL that was evaluated.
    """
    found = dict(result)
    found["worst_errors"] = _with_lines(result["worst_errors"], place)
    if "against" in found:
        errors = _with_lines(found["against"]["worst_errors"], place)
        found["against"] = {**found["against"], "worst_errors": errors}
    return found


def _with_lines(errors: Iterable[Mapping[str, Any]], place: str) -> list[dict[str, Any]]:
    wanted: dict[Path, set[int]] = {}
    for error in errors:
        if (origin := _ORIGIN.fullmatch(error["origin"])) is not None:
            wanted.setdefault(_file(origin, place), set()).add(int(origin["number"]))
    lines = {path: _lines(path, numbers) for path, numbers in wanted.items()}
    known = []
    for error in errors:
        origin = _ORIGIN.fullmatch(error["origin"])
        line = lines[_file(origin, place)].get(int(origin["number"])) if origin else None
        known.append({**error, "line": line} if line is not None else dict(error))
    return known


def _file(origin: re.Match[str], place: str) -> Path:
    """Return the path of a row's file; the jobs may show it relative to their folder."""
    return Path(place) if Path(place).is_file() else Path(origin["file"])


def _lines(path: Path, numbers: set[int]) -> dict[int, str]:
    """Return some lines or rows of a file; none if it cannot be read here."""
    if not path.is_file():
        return {}
    try:
        if path.suffix.lower() == ".parquet":
            return _rows(path, numbers)
        some = islice(text_lines(path, "utf-8-sig"), max(numbers))
        return {n: line.strip() for n, line in enumerate(some, start=1) if n in numbers}
    except CommandFailed:
        return {}


def _rows(path: Path, numbers: set[int]) -> dict[int, str]:
    import pyarrow as pa  # polars crashes on time zones such as +05:30
    import pyarrow.parquet as pq

    found, before = {}, 0
    try:
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(_ROWS_AT_ONCE):
                for number in numbers & set(range(before + 1, before + len(batch) + 1)):
                    row = batch.slice(number - before - 1, 1)
                    found[number] = ", ".join(map(_shown, row.columns))
                before += len(batch)
    except (OSError, ValueError, pa.ArrowException):
        return {}
    return found


def _shown(value: "pa.Array") -> str:
    """Return the only value of a column, with any type and time zone."""
    try:
        return str(value[0].as_py())
    except (ValueError, KeyError, OverflowError):  # a time that Python does not have
        return str(value.to_string(indent=0)).strip("[\n]")
