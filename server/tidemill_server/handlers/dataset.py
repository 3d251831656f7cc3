"""Dataset versions, on which models are trained."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidemill_core.domain.dataset import DatasetVersion, LabelChange, label_changes
from tidemill_core.storage.database import Page
from tidemill_core.storage.datasets import DatasetStore
from tidemill_server.handlers.threads import in_thread


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

    @in_thread
    def list_versions(self, task: str, page: Page) -> tuple[list[DatasetVersion], str]:
        """Return a page of a task's dataset versions, newest first, and the next page's token."""
        return self.store.page(task, page)

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
