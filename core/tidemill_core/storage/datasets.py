"""The catalogue of dataset versions. Their rows lie in Parquet, under their `uri`."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, func, select, update

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.errors import FailedPrecondition, NotFound
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.schema import dataset_versions

MIN_PREFIX = 8

_TOLD_ANEW = ("quarantine_counts", "source_counts", "erased_count", "build_time")
"""What a later build says of the same content."""


class DatasetStore:
    """The table of dataset versions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, version: DatasetVersion) -> None:
        """Record what a build came to, as the newest.

        Of a version that is recorded already, only what is told anew changes.
        """
        values = asdict(version)
        is_it = dataset_versions.c.dataset_version == version.dataset_version
        with self._database.write(alone_on=dataset_versions) as connection:
            query = select(dataset_versions).where(is_it)
            first = connection.execute(query).mappings().one_or_none()
            if first is not None:
                kept = values.keys() - set(_TOLD_ANEW)
                values |= {name: first[name] for name in kept}
                # Its new row has a sequence after all others.
                connection.execute(delete(dataset_versions).where(is_it))
            connection.execute(dataset_versions.insert(), values)

    def tell_erased(self, dataset_version: str, erased_count: int) -> None:
        """Record how many rows were erased from a version, if it is recorded."""
        is_it = dataset_versions.c.dataset_version == dataset_version
        with self._database.write() as connection:
            told = update(dataset_versions).where(is_it).values(erased_count=erased_count)
            connection.execute(told)

    def get(self, dataset_version: str) -> DatasetVersion:
        """The version of that id, or the only one whose id starts so.

        Raises:
            NotFound: there is none.
            FailedPrecondition: several start so.
        """
        column = dataset_versions.c.dataset_version
        length = len(dataset_version)
        # Not LIKE, which takes A for a on SQLite only.
        start = func.substr(column, 1, length)
        match = (start if length >= MIN_PREFIX else column) == dataset_version
        with self._database.read() as connection:
            rows = connection.execute(select(dataset_versions).where(match).limit(2)).mappings()
            found = [_dataset_version(row) for row in rows]
        if not found:
            raise NotFound("dataset version", dataset_version)
        if len(found) > 1:
            raise FailedPrecondition(f"several dataset versions start with {dataset_version!r}")
        return found[0]

    def page(self, task: str, page: Page) -> tuple[list[DatasetVersion], str]:
        """A page of versions, the last built first, and the next page's token."""
        return self._database.page(_dataset_version, dataset_versions, page, task=task)


def _dataset_version(row: Mapping[Any, Any]) -> DatasetVersion:
    values = {name: value for name, value in row.items() if name != "sequence"}
    return DatasetVersion(**{**values, "parents": tuple(values["parents"])})
