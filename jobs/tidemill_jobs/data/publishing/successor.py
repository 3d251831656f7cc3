"""The publication of a task's next dataset version."""

from datetime import datetime

from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.storage.database import Page
from tidemill_core.storage.datasets import DatasetStore
from tidemill_jobs.data.publishing.dataset import Content, publish


def publish_next(
    content: Content, datasets: DatasetCopies, store: DatasetStore, now: datetime
) -> DatasetVersion:
    """Publish a version as the successor of its task's newest one, and store it.

    Raises:
        DataError: as `publish`.
        ObjectStorageUnavailable, ObjectStorageRefused: as `publish`.
    """
    newest, _ = store.page(content.task, Page(size=1))
    parents = tuple(version.dataset_version for version in newest)
    version = publish(content, datasets, parents, now)
    store.add(version)
    datasets.store_missing(content.task)
    return version
