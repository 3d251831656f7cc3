"""The outputs of a scoring, in each format."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import polars as pl

OUTPUTS = (
    *("{folder}/out.csv", "{folder}/out.jsonl", "{folder}/out.parquet"),
    "sqlite:///{folder}/out.db#scored",
)
_COLUMNS = ("id", "prediction_label", "prediction_id")
_READERS: Mapping[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": partial(pl.read_csv, infer_schema=False),
    ".jsonl": pl.read_ndjson,
    ".parquet": pl.read_parquet,
}


def rows_at(place: str) -> list[tuple[str, str, str]]:
    """Return each row's id, label and prediction's id; no row if there is no output."""
    if place.startswith("sqlite"):
        with suppress(sqlite3.OperationalError), closing(_database(place)) as database:
            return database.execute(f"SELECT {', '.join(_COLUMNS)} FROM scored").fetchall()  # noqa: S608 -- our own names
        return []
    path = Path(place)
    return _READERS[path.suffix](path).select(_COLUMNS).rows() if path.exists() else []


def remove(place: str) -> None:
    """Remove an output."""
    if not place.startswith("sqlite"):
        Path(place).unlink()
        return
    with closing(_database(place)) as database:
        database.execute("DROP TABLE scored")


def _database(place: str) -> sqlite3.Connection:
    return sqlite3.connect(place.removeprefix("sqlite:///").removesuffix("#scored"))
