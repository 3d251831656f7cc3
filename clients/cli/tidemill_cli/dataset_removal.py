"""The dataset versions whose rows are no longer needed, and their removal."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from tidemill_cli.failure import CommandFailed
from tidemill_cli.output import say
from tidemill_cli.workspace_storage import every, existing_storage
from tidemill_core.dataset_copies import ROW_FILES, DatasetCopies
from tidemill_core.dataset_folder import build_time, read_manifest, version_folders
from tidemill_core.intake_lock import intake_lock
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import Storage


@dataclass(frozen=True)
class Removable:
    """A version whose rows can be removed.

    Attributes:
        folder: its folder; the manifest and the tombstones stay in it.
        task: the task.
        dataset_version: its id.
        build_time: the time of its last build.
        size: the size of its rows in bytes.
    """

    folder: Path
    task: str
    dataset_version: str
    build_time: datetime
    size: int


def make_room(settings: Settings, keep: int, before: datetime, *, really: bool) -> list[Removable]:
    """Return the versions that are `removable`; if `really`, remove their rows.

    In that case, wait for running builds, erasures and rebuilds, and keep new ones from starting.

    Raises:
        DataError: DATASET_DAMAGED.
        ObjectStorageUnavailable, ObjectStorageRefused: rows in the object storage stay.
        CommandFailed: a file cannot be removed.
        MigrationPending: the database is of an earlier release.
    """
    with existing_storage(settings) as storage, ExitStack() as locks:
        if storage is None:
            return []
        datasets = DatasetCopies.of(settings, storage.database.exclusive)
        datasets.fetch_manifests()
        tasks = sorted({folder.parent.name for folder in version_folders(datasets.root)})
        try:
            for task in tasks if really else ():
                # Cached, so that it is said once.
                note = cache(partial(say, f"waiting for a build or an erasure of {task} to end"))
                locks.enter_context(intake_lock(settings.state_dir / "intake" / task, note))
            found = removable(datasets, *built_and_needed(storage), keep, before)
            if really:
                remove(datasets, found)
        except OSError as error:
            raise CommandFailed(f"some rows could not be removed: {error}") from error
    return found


def built_and_needed(storage: Storage) -> tuple[dict[str, datetime], set[str]]:
    """Return each cataloged version's last build time, and the versions that models use."""
    return (
        {one.dataset_version: one.build_time for one in every(partial(storage.datasets.page, ""))},
        {one.dataset_version for one in every(partial(storage.models.page, ""))},
    )


def removable(
    datasets: DatasetCopies,
    built: Mapping[str, datetime],
    needed: Set[str],
    keep: int,
    before: datetime,
) -> list[Removable]:
    """Return the versions whose rows can be removed, the oldest of each task first.

    Args:
        datasets: all datasets.
        built: the last build time of each cataloged version; versions that are not in it stay.
        needed: the ids of versions that stay.
        keep: the number of the newest versions of each task that stay.
        before: versions built at or after this time stay.

    Raises:
        DataError: DATASET_DAMAGED.
    """
    by_task: dict[str, list[Removable]] = defaultdict(list)
    for folder in version_folders(datasets.root):
        if (size := datasets.row_bytes(folder)) is not None:
            when = built.get(folder.name) or build_time(read_manifest(folder))
            found = Removable(folder, folder.parent.name, folder.name, when, size)
            by_task[found.task].append(found)
    return [
        version
        for versions in by_task.values()
        for version in sorted(versions, key=lambda version: version.build_time)[:-keep]
        if version.build_time < before
        and version.dataset_version in built
        and version.dataset_version not in needed
    ]


def remove(datasets: DatasetCopies, versions: Iterable[Removable]) -> None:
    """Remove the rows of versions. A version with one file left is still removable.

    Raises:
        OSError: a file cannot be removed.
    """
    for version in versions:
        with datasets.changing(version.folder):
            for name in ROW_FILES:
                (version.folder / name).unlink(missing_ok=True)
