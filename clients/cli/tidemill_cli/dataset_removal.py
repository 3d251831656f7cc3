"""Which dataset versions nobody needs the rows of, and what removing them gives back."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from tidemill_core.dataset_folder import (
    EXAMPLES_FILE,
    QUARANTINE_FILE,
    has_rows,
    read_manifest,
    version_folders,
)
from tidemill_core.storage.database import MAX_PAGE_SIZE, Page
from tidemill_core.storage.storage import Storage

RowT = TypeVar("RowT")

_ROWS = (EXAMPLES_FILE, QUARANTINE_FILE)


@dataclass(frozen=True)
class Removable:
    """A version whose rows can go.

    Attributes:
        folder: its folder; manifest and tombstones stay in it.
        task: the task.
        dataset_version: its id.
        create_time: when it was first built.
        size: bytes that its rows take.
    """

    folder: Path
    task: str
    dataset_version: str
    create_time: datetime
    size: int


def catalogued_and_needed(storage: Storage) -> tuple[set[str], set[str]]:
    """The ids of the versions in the catalogue, and of those that a model was trained on."""
    return (
        {version.dataset_version for version in _all(storage.datasets.page)},
        {version.dataset_version for version in _all(storage.models.page)},
    )


def removable(datasets: Path, free: Set[str], keep: int, before: datetime) -> list[Removable]:
    """The versions whose rows can go, the oldest of each task first.

    Args:
        datasets: the folder of all datasets.
        free: ids of the versions that may go; what the catalogue does not know is not ours.
        keep: so many of the newest of each task stay.
        before: what was built later stays as well.

    Raises:
        DataError: DATASET_DAMAGED.
    """
    by_task: dict[str, list[Removable]] = defaultdict(list)
    for folder in version_folders(datasets):
        if has_rows(folder):
            by_task[folder.parent.name].append(_described(folder))
    return [
        version
        for versions in by_task.values()
        for version in sorted(versions, key=lambda version: version.create_time)[:-keep]
        if version.create_time < before and version.dataset_version in free
    ]


def remove(versions: Iterable[Removable]) -> None:
    """Remove their rows; what is left of a version that is removed by half counts as removed.

    Raises:
        OSError: a file cannot be removed.
    """
    for version in versions:
        for name in _ROWS:
            (version.folder / name).unlink(missing_ok=True)


def _described(folder: Path) -> Removable:
    create_time = datetime.fromisoformat(read_manifest(folder)["create_time"])
    size = sum((folder / name).stat().st_size for name in _ROWS if (folder / name).exists())
    return Removable(folder, folder.parent.name, folder.name, create_time, size)


def _all(fetch: Callable[[str, Page], tuple[list[RowT], str]]) -> Iterator[RowT]:
    """Rows of all pages and tasks."""
    token = ""
    while True:
        rows, token = fetch("", Page.parse(MAX_PAGE_SIZE, token))
        yield from rows
        if not token:
            return
