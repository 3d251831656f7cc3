"""The regions of the versions' representations, by which drift of texts is counted."""

from sqlalchemy import select

from tidemill_core.storage.database import Database
from tidemill_core.storage.erased_hashes import erasure_counts
from tidemill_core.storage.schema import drift_regions


class DriftRegionStore:
    """The table of regions. A version's regions stay as they were first stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, task: str, model_version: int) -> bytes | None:
        """Return a version's regions; None if there are none."""
        query = select(drift_regions.c.content).filter_by(task=task, model_version=model_version)
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def add(
        self, task: str, model_version: int, content: bytes, erasures_before: tuple[int, int]
    ) -> None:
        """Store a version's regions, unless some are stored already, or a text was erased since.

        Args:
            task: the task.
            model_version: the version.
            content: the regions.
            erasures_before: `ErasureStore.counts` from before the texts were read that made them.
        """
        row = {"task": task, "model_version": model_version, "content": content}
        with self._database.write(alone_on=drift_regions) as connection:
            if erasure_counts(connection, task) == erasures_before:
                self._database.insert_ignoring_repeats(connection, drift_regions, [row])
