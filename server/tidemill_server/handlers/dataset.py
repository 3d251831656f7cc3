"""Dataset versions, on which models are trained."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tidemill_core.dataset_folder import EXAMPLES_FILE, MANIFEST_FILE, QUARANTINE_FILE
from tidemill_core.dataset_rows import ExampleRow, ExcludedRow, examples_with, excluded_rows
from tidemill_core.domain.dataset import DatasetVersion, LabelChange, label_changes
from tidemill_core.domain.split import content_hash
from tidemill_core.errors import DataError, FailedPrecondition, InvalidArgument
from tidemill_core.storage.database import Page, page_token
from tidemill_core.storage.datasets import DatasetStore
from tidemill_core.text import IS_BLANK, is_blank
from tidemill_core.text_rules import BLANK_RULE
from tidemill_server.handlers.fetched_datasets import FetchedDatasets
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_words
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router


@dataclass(frozen=True)
class DatasetDiff:
    """How one dataset version differs from another.

    Attributes:
        base_row_count: rows of the base version.
        row_count: rows of the other version.
        label_changes: the labels whose counts differ.
    """

    base_row_count: int
    row_count: int
    label_changes: Sequence[LabelChange]


@dataclass(frozen=True)
class DatasetHandler:
    """Access to dataset versions."""

    store: DatasetStore
    fetched: FetchedDatasets
    router: Router

    @in_thread
    def list_versions(self, task: str, page: Page) -> tuple[list[DatasetVersion], str]:
        """Return a page of a task's dataset versions, newest first, and the next page's token."""
        found = self.store.page(task, page)
        return of_task(self.router, task, found, partial(self.store.page, task))

    @in_thread
    def get(self, dataset_version: str) -> DatasetVersion:
        """Return one dataset version, or raise NotFound."""
        return self.store.get(dataset_version)

    @in_thread
    def diff(self, base_dataset_version: str, dataset_version: str) -> DatasetDiff:
        """Compare two dataset versions by their counts, or raise NotFound."""
        base, other = self.store.get(base_dataset_version), self.store.get(dataset_version)
        return DatasetDiff(
            sum(base.row_counts.values()),
            sum(other.row_counts.values()),
            label_changes(base.label_counts, other.label_counts),
        )

    async def excluded(
        self, dataset_version: str, rule: str, page: Page
    ) -> tuple[list[ExcludedRow], str]:
        """Return a page of the rows that are not in a version, and the next page's token.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: its rows were removed, or cannot be read on this machine.
            Unavailable: they are in object storage, which cannot be reached or takes too long.
        """
        check_words("rule", rule, MAX_KEY_LENGTH)
        version = await self.get(dataset_version)
        with _readable():
            folder = await self._folder(version, QUARANTINE_FILE)
            rows, following = await asyncio.to_thread(
                excluded_rows, folder, rule, page.before or 0, page.size
            )
        return rows, "" if following is None else page_token(following)

    async def examples(self, dataset_version: str, text: str) -> list[ExampleRow]:
        """Return the rows of a version that have a text.

        Raises:
            NotFound: there is no such version.
            FailedPrecondition: its rows were removed, or cannot be read on this machine.
            Unavailable: they are in object storage, which cannot be reached or takes too long.
        """
        if is_blank(text):
            raise InvalidArgument(IS_BLANK, "text", BLANK_RULE)
        version = await self.get(dataset_version)
        with _readable():
            folder = await self._folder(version, EXAMPLES_FILE)
            return await asyncio.to_thread(examples_with, folder, content_hash(text))

    async def _folder(self, version: DatasetVersion, file: str) -> Path:
        files = (file, MANIFEST_FILE)
        return await self.fetched.folder(version.task, version.dataset_version, *files)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise FailedPrecondition(str(error), error.reason) from error
