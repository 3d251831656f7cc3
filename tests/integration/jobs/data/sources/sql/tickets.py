"""The table of tickets that the tests of databases read."""

from collections.abc import Callable

import sqlalchemy as sa

from tidemill_jobs.data.sources.source import Source

TICKETS = "CREATE TABLE tickets (id BIGINT, changed {time}, text TEXT, label TEXT, who TEXT)"


Declare = Callable[..., Source]


def insert(database: sa.Engine, *rows: tuple[object, ...]) -> None:
    """Insert rows into the table."""
    statement = sa.text("INSERT INTO tickets VALUES (:id, :changed, :text, :label, :who)")
    names = ("id", "changed", "text", "label", "who")
    with database.begin() as connection:
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


def ticket(number: int, hour: int = 12, text: str | None = None) -> tuple[object, ...]:
    """Return a row: a ticket of ann, changed on 2026-01-02 at an hour."""
    return number, f"2026-01-02 {hour:02}:00:00+00:00", text or f"text {number}", "a", "ann"
