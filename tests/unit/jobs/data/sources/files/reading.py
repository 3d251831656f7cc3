"""Files that tests write and read."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import Source

Write = Callable[[str, str | bytes], Path]

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def read_file(path: Path, **values: str) -> Landing:
    """Read a file to its end, with settings by name."""
    landing = Landing()
    landing.read(source_of(path, **values))
    return landing


def json_lines(folder: Path, *lines: str | bytes, **values: str) -> Landing:
    """Write lines to a file, and read it."""
    path = folder / "a.jsonl"
    path.write_bytes(b"".join((s.encode() if isinstance(s, str) else s) + b"\n" for s in lines))
    return read_file(path, **values)


def parquet(folder: Path, frame: pl.DataFrame, **values: str) -> Landing:
    """Write a frame to a file, and read it."""
    path = folder / "a.parquet"
    frame.write_parquet(path)
    return read_file(path, **values)


def source_of(path: Path, **values: str) -> Source:
    """Return the source of a path, with settings by name."""
    return open_source(FilesSource(path=str(path), **values))


def csv_of(rows: int, width: int = 10) -> str:
    """Return a CSV of a number of rows; every ninth has a text of two lines."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["text", "label"])
    for n in range(rows):
        writer.writerow([f"text, {n}" + "\nmore" * (n % 9 == 0) + " word" * width, "ab"[n % 2]])
    return out.getvalue()
