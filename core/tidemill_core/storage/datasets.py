"""The catalog of dataset versions. Their rows are in Parquet files under their `uri`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, select, update

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.storage.database import Database, Page, row_by_id
from tidemill_core.storage.schema import dataset_versions

_UPDATED = ("quarantine_counts", "source_counts", "erased_count", "build_time")
"""Columns that a later build of the same content updates."""


class DatasetStore:
    """The table of dataset versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, version: DatasetVersion) -> None:
        """Record the version that a build produced, as the newest.

        If the version exists, only the columns of `_UPDATED` and its order change.
        """
        values = asdict(version)
        is_it = dataset_versions.c.dataset_version == version.dataset_version
        with self._database.write(alone_on=dataset_versions) as connection:
            query = select(dataset_versions).where(is_it)
            first = connection.execute(query).mappings().one_or_none()
            if first is not None:
                kept = values.keys() - set(_UPDATED)
                values |= {name: first[name] for name in kept}
                # The new row gets the highest sequence.
                connection.execute(delete(dataset_versions).where(is_it))
            connection.execute(dataset_versions.insert(), values)

    def record_erased(self, dataset_version: str, erased_count: int) -> None:
        """Record how many rows were erased from a version, if the version exists."""
        is_it = dataset_versions.c.dataset_version == dataset_version
        with self._database.write() as connection:
            change = update(dataset_versions).where(is_it).values(erased_count=erased_count)
            connection.execute(change)

    def get(self, dataset_version: str) -> DatasetVersion:
        """Return the version with an id, or the only one whose id starts with it.

        Raises:
            NotFound: there is no such version.
            InvalidArgument: several ids start with it.
        """
        column = dataset_versions.c.dataset_version
        with self._database.read() as connection:
            row = row_by_id(connection, column, dataset_version, "dataset version")
        return _dataset_version(row)

    def page(self, task: str, page: Page) -> tuple[list[DatasetVersion], str]:
        """Return a page of versions, the last built first, and the next page's token."""
        return self._database.page(_dataset_version, dataset_versions, page, task=task)


def _dataset_version(row: Mapping[Any, Any]) -> DatasetVersion:
    values = {name: value for name, value in row.items() if name != "sequence"}
    return DatasetVersion(**{**values, "parents": tuple(values["parents"])})
