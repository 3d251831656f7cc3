"""Pauses of tasks."""

from sqlalchemy import delete, select

from tidemill_core.domain.pause import ReleasePause
from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import release_pauses


class PauseStore:
    """The table of pauses: one row for each task that is paused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pause(self, pause: ReleasePause) -> None:
        """Pause a task, or replace who paused it and why."""
        with self._database.write(alone_on=release_pauses) as connection:
            connection.execute(delete(release_pauses).where(release_pauses.c.task == pause.task))
            connection.execute(release_pauses.insert(), vars(pause))

    def resume(self, task: str) -> bool:
        """End a task's pause; return False if it has none."""
        this = delete(release_pauses).where(release_pauses.c.task == task)
        with self._database.write() as connection:
            return connection.execute(this).rowcount > 0

    def get(self, task: str) -> ReleasePause | None:
        """Return a task's pause; None if it has none."""
        query = select(release_pauses).where(release_pauses.c.task == task)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else ReleasePause(**row)
