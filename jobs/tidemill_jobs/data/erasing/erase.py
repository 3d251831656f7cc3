"""The job `erase_texts`: removes the texts that a person asked to erase.

It removes them from the database, the landed rows and the dataset versions, here and in object
storage. In a version a tombstone replaces each row, with its hash, digest, label and split, so the
version still verifies, and its counts stay known. Later rows with such a text are not stored
either.

Cleaning may have changed a text. So the job first finds the hashes of all forms of the text and
stores them with the request; any row with one of them has the text.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from tidemill_core import dataset_folder
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.dataset_folder import version_folders
from tidemill_core.domain.erasure import Erasure
from tidemill_core.errors import DataError
from tidemill_core.object_errors import ObjectStorageUnavailable
from tidemill_core.storage.datasets import DatasetStore
from tidemill_core.storage.erasures import ErasureStore
from tidemill_jobs.context import JobContext, Progress, Result
from tidemill_jobs.data.erasing.landed_texts import LandedTexts
from tidemill_jobs.data.erasing.tombstones import PLACES, erase_rows
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.preparing.clean import Cleaning
from tidemill_jobs.data.preparing.prepare import PreparedCache
from tidemill_jobs.data.task_folders import TaskFolders

Found = dict[str, Counter[str]]
"""Numbers of rows by place and by the requested hash of their text."""


def run(context: JobContext) -> Result:
    """Erase the requested texts that are not erased yet.

    The next run completes one that was killed. An error about damaged or unwritable files is raised
    after all other places are erased. Texts that were erased before and are in the database again
    are erased there. The job does not reach texts in the spool, which wait for the database, and
    exported copies.

    Returns:
        `erased_texts`, and the numbers of rows that had them, by place.

    Raises:
        DataError: landed rows or a dataset version are damaged or cannot be written.
        ObjectStorageUnavailable: the texts are not erased from all stored dataset versions yet, but
            from the database.
        RunCanceled: someone stopped the run; erased texts stay erased.
        StorageUnavailable: the database does not answer.
    """
    store, task, found = context.storage.erasures, context.task, Found()
    if not store.of_task(task):
        return {"erased_texts": 0}
    folders = TaskFolders.below(context.settings.state_dir, task)
    with Intake(folders.intake).locked(context.progress):
        asked = [erasure for erasure in store.of_task(task) if erasure.erase_time is None]
        _erase(context, folders, asked, found)
    for erasure in asked:
        store.finish(erasure, context.clock())
    rows = {f"erased_{place}": counts.total() for place, counts in found.items()}
    return {"erased_texts": len(asked), **rows}


def _erase(
    context: JobContext, folders: TaskFolders, asked: Sequence[Erasure], found: Found
) -> None:
    """Erase the requested texts, and those in the database that were erased before."""
    store, copies = context.storage.erasures, context.datasets
    if not asked:
        _erase_stored(store, context.task, context.progress, found)
        return
    try:
        copies.fetch_manifests()
    except (DataError, ObjectStorageUnavailable):
        # The landed rows stay: with them the next run finds all forms of the texts.
        _erase_stored(store, context.task, context.progress, found)
        raise
    versions = version_folders(copies.root)
    eraser = _Eraser(
        task=context.task,
        folders=folders,
        copies=copies,
        versions=[folder for folder in versions if folder.parent == folders.datasets],
        cleaning=Cleaning.of(dict(context.task_settings)),
        erasures=store,
        datasets=context.storage.datasets,
        progress=context.progress,
        found=found,
    )
    eraser.erase(asked)


class _Failures:
    """Errors of single places, which must not stop the erasure of the others."""

    def __init__(self) -> None:
        self._errors: list[DataError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Keep the block's DataError for `report`."""
        try:
            yield
        except DataError as error:
            self._errors.append(error)

    def report(self) -> None:
        """Raise a DataError if there are errors."""
        if self._errors:
            # Landed rows are read twice, so an error may occur twice.
            details = "; ".join(dict.fromkeys(map(str, self._errors)))
            raise DataError(self._errors[0].reason, f"some texts are not erased yet: {details}")


@dataclass(frozen=True)
class _Eraser:
    """The erasure of a task's texts, while its intake is locked."""

    task: str
    folders: TaskFolders
    copies: DatasetCopies
    versions: Sequence[Path]
    cleaning: Cleaning
    erasures: ErasureStore
    datasets: DatasetStore
    progress: Progress
    found: Found
    failures: _Failures = field(default_factory=_Failures)

    def erase(self, asked: Sequence[Erasure]) -> None:
        """Erase requested texts that are not erased yet, and count them in `found`.

        Raises:
            DataError: something is damaged or cannot be written; the rest is erased.
        """
        _clear(self.folders)
        intake, caches = Intake(self.folders.intake), self._caches()
        landed = LandedTexts(intake, caches, self.progress, self.failures.noted)
        aliases = landed.aliases({erasure.text_hash for erasure in asked})
        for erasure in asked:
            self.erasures.add_aliases(erasure, aliases[erasure.text_hash])
        _erase_stored(self.erasures, self.task, self.progress, self.found)
        affected = list(landed.affected(self.erasures.hashes(self.task)))
        places = pl.concat([pl.DataFrame(schema=PLACES), *(each.places for each in affected)])
        self.found.update(datasets=Counter(), intake=Counter())
        self._erase_published(asked, places)
        # Last, so that the next run finds and counts them again if this one is killed.
        for each in affected:
            if each.rows.any():
                with self.failures.noted():
                    caches[0].forget(each.segment)
                    intake.erase(each.segment, each.rows)
                    of_rows = each.places.filter(pl.col("text_hash") != "")["text_hash"]
                    self._count(asked, "intake", Counter(of_rows))
        self.failures.report()

    def _count(self, asked: Sequence[Erasure], place: str, of_rows: Counter[str]) -> None:
        """Count erased rows immediately: the next run does not find them if this one is killed."""
        self.found[place].update(of_rows)
        for erasure in asked:
            if count := of_rows[erasure.text_hash]:
                self.erasures.add_counts(erasure, {place: count})

    def _erase_published(self, asked: Sequence[Erasure], places: pl.DataFrame) -> None:
        hashes = self.erasures.hashes(self.task)
        for folder in self.versions:
            self.progress(0.6, f"erasing from dataset version {folder.name[:12]}")
            with self.failures.noted():
                with self.copies.changing(folder):
                    erased_count, of_rows = erase_rows(folder, hashes, places)
                    self._count(asked, "datasets", Counter(of_rows))
                self.datasets.record_erased(folder.name, erased_count)

    def _caches(self) -> list[PreparedCache]:
        """Return a cache for the current cleaning, and one for each former one of the versions."""
        before = {_cleaning(version) for version in self.versions} - {None, self.cleaning}
        every = [self.cleaning, *filter(None, before)]
        return [PreparedCache(self.folders.prepared, cleaning) for cleaning in every]


def _erase_stored(erasures: ErasureStore, task: str, progress: Progress, found: Found) -> None:
    """Erase all texts that were ever requested from the database, and count them in `found`."""
    hashes = erasures.hashes(task)
    for table, of_rows in erasures.erase_stored(task, hashes.keys()):
        progress(0.5, f"erasing from {table}")
        found.setdefault(table, Counter()).update(hashes[each] for each in of_rows)


def _cleaning(version: Path) -> Cleaning | None:
    """Return the cleaning of a version; None if its manifest has none."""
    try:
        return Cleaning.of(dataset_folder.read_manifest(version)["recipe"]["settings"])
    except (DataError, KeyError, TypeError):
        return None


def _clear(folders: TaskFolders) -> None:
    """Remove files of killed runs, and prepared files of removed segments."""
    folders.remove_left_over()
    for path in folders.prepared.glob("*/*/*.parquet"):
        if not (folders.intake / path.parent.name / path.name).exists():
            path.unlink()
