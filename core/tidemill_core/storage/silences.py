"""Silences."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from tidemill_core.domain.alert import Silence
from tidemill_core.errors import NotFound
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.schema import alert_silences


class SilenceStore:
    """The table of silences."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, silence: Silence) -> None:
        """Begin a silence."""
        with self._database.write() as connection:
            connection.execute(alert_silences.insert(), asdict(silence))

    def end(self, silence_id: str, now: datetime) -> Silence:
        """End a silence now; one that has ended stays as it is.

        Raises:
            NotFound: there is no such silence.
        """
        this = alert_silences.c.silence_id == silence_id
        change = update(alert_silences).where(this, alert_silences.c.end_time > now)
        with self._database.write() as connection:
            connection.execute(change.values(end_time=now))
            row = connection.execute(select(alert_silences).where(this)).mappings().first()
        if row is None:
            raise NotFound("silence", silence_id)
        return _silence(row)

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
