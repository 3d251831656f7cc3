"""PostgreSQL with many predictions: what a row costs, and how long questions and retention take.

    python -m bench.scale.predictions [--rows 10000000]

A database with a million predictions and one with `--rows` are filled in PostgreSQL itself, spread
over thirteen weeks, each with its text (of the shipped example, about 60 bytes), and with feedback
on a thousandth of them. Every question is asked three times; the median counts. Rows are also
written by the front's own writer, and a million is converted from the table of earlier releases.

Exits with 1 if a question takes longer than the statement timeout, or if dropping a month takes
more than ten seconds.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from bench import end_on_sigterm
from bench.scale.questions import seconds_by_question, seconds_of_all
from bench.scale.simulated import (
    START,
    WEEKS,
    add_samples,
    change,
    fill,
    new_database,
    postgres,
    without_limits,
)
from bench.scale.writing import convert, write
from tidemill_core.storage.engine import STATEMENT_TIMEOUT_SECONDS
from tidemill_core.storage.partitions import WEEK, drop_partitions
from tidemill_core.storage.storage import Storage, open_storage

MILLION = 1_000_000
_ROOM_A_ROW = 600
"""Bytes of free disk for each row. A row takes 558 with its indices, measured at a million rows."""
_WEEKS_A_MONTH = 4
_MOST_DROP_SECONDS = 10.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10 * MILLION, help="of the larger database")
    parser.add_argument("--written", type=int, default=MILLION, help="rows of the front's writer")
    options = parser.parse_args()
    free, room = shutil.disk_usage(tempfile.gettempdir()).free, options.rows * _ROOM_A_ROW
    if free < room:
        folder = tempfile.gettempdir()
        sys.exit(f"{folder} has {free / 1e9:.0f} GB free, and {room / 1e9:.0f} GB are needed")
    with postgres() as server:
        _write(server, options.written)
        change(server, "fsync", "off")
        for name in ("plain", "keyed"):
            seconds = convert(new_database(server, name), MILLION, name == "keyed")
            _say(f"conversion of a million rows, {name}, seconds", f"{seconds:.1f}")
        few = _asked(server, "small", MILLION)
        many = _asked(server, "big", options.rows)
        Console(width=100).print(_compared(few, many, options.rows))
        dropping = _remove_months(open_storage(_url(server, "big")), options.rows)
    late = [name for name, seconds in many.items() if seconds > STATEMENT_TIMEOUT_SECONDS]
    sys.exit(bool(late) or dropping > _MOST_DROP_SECONDS)


def _say(figure: str, value: str) -> None:
    print(f"{figure:60} {value}", flush=True)


def _write(server: Any, rows: int) -> None:
    cost = write(server, new_database(server, "written"), rows)
    _say("the front's writer, rows/s", f"{rows / cost.seconds:,.0f}")
    _say("its CPU, µs a row", f"{cost.front_us:.1f}")
    _say("PostgreSQL's CPU for it, µs a row", f"{cost.database_us:.1f}")


def _url(server: Any, name: str) -> str:
    return str(server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://", 1)


def _asked(server: Any, name: str, rows: int) -> dict[str, float]:
    """Fill a database, and return the seconds of each question."""
    storage = open_storage(new_database(server, name))
    try:
        with without_limits(storage.database) as connection:
            length = add_samples(connection)
        start = time.perf_counter()
        for done in fill(storage.database, rows):
            seconds = time.perf_counter() - start
            print(f"{name}: {done:,} rows after {seconds:.0f} s", file=sys.stderr)
        _say("filled in bulk with all indices, without fsync, rows/s", f"{rows / seconds:,.0f}")
        _add_sizes(storage, length)
        if rows == MILLION:  # with many more, a statement would reach its timeout
            for question, taken in seconds_of_all(storage).items():
                _say(f"{question}, seconds a million rows of its time", f"{taken:.2f}")
        return seconds_by_question(storage, rows // WEEKS // 7)
    finally:
        storage.database.close()


def _add_sizes(storage: Storage, length: int) -> None:
    sizes = (
        "SELECT sum(pg_relation_size(inhrelid)), sum(pg_indexes_size(inhrelid)), "
        "sum(pg_total_relation_size(inhrelid)) FROM pg_inherits "
        "WHERE inhparent = CAST('predictions' AS regclass)"
    )
    with without_limits(storage.database) as connection:
        rows = connection.scalar(text("SELECT count(*) FROM predictions"))
        heap, indices, total = connection.execute(text(sizes)).one()
        hour = connection.scalar(text("SELECT avg(pg_column_size(counts)) FROM prediction_counts"))
    _say("rows", f"{rows:,}")
    _say("a text's bytes, mean", f"{length}")
    _say("bytes a row: table", f"{heap / rows:.0f}")
    _say("bytes a row: indices", f"{indices / rows:.0f}")
    _say("bytes a row: all", f"{total / rows:.0f}")
    _say("bytes of the counts of an hour and version", f"{hour:,.0f}")


def _compared(few: dict[str, float], many: dict[str, float], rows: int) -> Table:
    table = Table("question", f"ms, {MILLION:,} rows", f"ms, {rows:,} rows", "ratio")
    for name, seconds in many.items():
        ratio = f"{seconds / few[name]:.1f}"
        table.add_row(name, f"{few[name] * 1000:,.1f}", f"{seconds * 1000:,.1f}", ratio)
    return table


def _remove_months(storage: Storage, rows: int) -> float:
    """Delete a week, drop it and four more, and return the seconds of the latter."""
    first = START + WEEK
    with without_limits(storage.database) as connection:
        old = {"first": first}
        deleting = _seconds(
            lambda: connection.execute(
                text("DELETE FROM predictions WHERE predict_time < :first"), old
            )
        )
        vacuum = text(f"VACUUM predictions_until_{first:%Y%m%d}")
        vacuuming = _seconds(lambda: connection.execute(vacuum))
    end = first + _WEEKS_A_MONTH * WEEK
    dropping = _seconds(lambda: drop_partitions(storage.database, end))
    storage.database.close()
    month = f"{rows * _WEEKS_A_MONTH // WEEKS:,} rows"
    deleted = (deleting + vacuuming) * _WEEKS_A_MONTH
    _say(f"four weeks ({month}) deleted and vacuumed, seconds", f"{deleted:.1f}")
    _say("four weeks dropped, seconds", f"{dropping:.2f}")
    return dropping


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    end_on_sigterm()
    main()
