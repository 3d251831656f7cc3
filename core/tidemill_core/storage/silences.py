"""Silences."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import update

from tidemill_core.domain.alert import Silence
from tidemill_core.storage.database import Database, Page, row_by_id
from tidemill_core.storage.schema import alert_silences


class SilenceStore:
    """The table of silences."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, silence: Silence) -> None:
        """Begin a silence."""
        with self._database.write() as connection:
            connection.execute(alert_silences.insert(), asdict(silence))

    def end(self, silence_id: str, now: datetime) -> tuple[Silence, bool]:
        """End a silence now, and return whether it had not ended before; then it stays as it is.

        It is the one with the id, or the only one whose id starts so. Raises as `row_by_id`.
        """
        column = alert_silences.c.silence_id
        with self._database.write() as connection:
            silence = _silence(row_by_id(connection, column, silence_id, "silence"))
            if silence.end_time <= now:
                return silence, False
            lasts = (column == silence.silence_id, alert_silences.c.end_time > now)
            connection.execute(update(alert_silences).where(*lasts).values(end_time=now))
        return replace(silence, end_time=now), True

    def page(self, active_at: datetime | None, page: Page) -> tuple[list[Silence], str]:
        """Return a page of silences, newest first, and the next page's token.

        Args:
            active_at: only those that hold alerts back at this time; None for all.
            page: the page to return.
        """
        active = [] if active_at is None else [alert_silences.c.end_time > active_at]
        return self._database.page(_silence, alert_silences, page, *active)


def _silence(row: Mapping[Any, Any]) -> Silence:
    return Silence(**{name: value for name, value in row.items() if name != "sequence"})
