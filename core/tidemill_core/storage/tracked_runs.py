"""Where the training of a model version can be seen."""

from sqlalchemy import delete, select

from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import tracked_runs


class TrackedRunStore:
    """The table of tracked runs: one row for each version and tracker."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def link(self, task: str, version: int, tracker: str, link: str) -> None:
        """Store the URL or folder of a version's run in a tracker, or replace it."""
        row = {"task": task, "version": version, "tracker": tracker}
        with self._database.write(alone_on=tracked_runs) as connection:
            connection.execute(delete(tracked_runs).filter_by(**row))
            connection.execute(tracked_runs.insert(), {**row, "link": link})

    def links(self, task: str, version: int) -> dict[str, str]:
        """Return the URLs or folders of a version's run, by tracker."""
        query = select(tracked_runs.c.tracker, tracked_runs.c.link).filter_by(
            task=task, version=version
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(tracked_runs.c.tracker)).all()
        return {row.tracker: row.link for row in rows}
