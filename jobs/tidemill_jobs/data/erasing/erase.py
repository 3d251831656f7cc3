"""The job `erase_texts`: takes the texts that a person asked to have erased out of everything.

They go from the database, from what landed of the sources, and from the dataset versions that hold
them; there a tombstone stays for each row: its hash and digest, which the version's id is made of,
its label and its split. So the version still verifies, and what was trained on it is still known.
What comes in later with such a text is not kept either.

Cleaning may have changed a text. So all hashes of its forms are looked for first and stored with
the request; whatever holds one of them has the text.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from tidemill_core import dataset_folder
from tidemill_core.dataset_folder import version_folders
from tidemill_core.domain.erasure import Erasure
from tidemill_core.errors import DataError
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
"""Rows by where they were and by the hash that their text was asked for by."""


def run(context: JobContext) -> Result:
    """Erase the texts that are asked for and not gone yet.

    A run that is killed is made good by the next one. What is damaged or cannot be written is
    reported once all else is erased. Of the texts that are gone already, those that came into the
    database again go from there. Texts that wait in the spool for a database, and copies that
    someone exported, are out of its reach.

    Returns:
        `erased_texts`, and the rows that held them by place.

    Raises:
        DataError: what landed, or a dataset version, is damaged or cannot be written.
        RunCancelled: somebody asked the run to stop; what was erased stays erased.
        StorageUnavailable: the database does not answer.
    """
    store, task = context.storage.erasures, context.task
    if not store.of_task(task):
        return {"erased_texts": 0}
    folders = TaskFolders.below(context.settings.state_dir, task)
    with Intake(folders.intake).locked(context.progress):
        asked = [erasure for erasure in store.of_task(task) if erasure.erase_time is None]
        if asked:
            versions = version_folders(folders.datasets.parent)
            eraser = _Eraser(
                task=task,
                folders=folders,
                versions=[folder for folder in versions if folder.parent == folders.datasets],
                cleaning=Cleaning.of(dict(context.task_settings)),
                erasures=store,
                datasets=context.storage.datasets,
                progress=context.progress,
            )
            found = eraser.erase(asked)
        else:
            found = _erase_stored(store, task, context.progress)
    for erasure in asked:
        counts = {place: of_texts[erasure.text_hash] for place, of_texts in found.items()}
        store.finish(erasure, counts, context.clock())
    rows = {f"erased_{place}": counts.total() for place, counts in found.items()}
    return {"erased_texts": len(asked), **rows}


class _Failures:
    """What went wrong in one place, which must not keep the others from being erased."""

    def __init__(self) -> None:
        self._errors: list[DataError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """A block whose DataError is reported later."""
        try:
            yield
        except DataError as error:
            self._errors.append(error)

    def report(self) -> None:
        """Raise a DataError if something went wrong."""
        if self._errors:
            # What landed is looked through twice.
            details = "; ".join(dict.fromkeys(map(str, self._errors)))
            raise DataError(self._errors[0].reason, f"not all could be erased yet: {details}")


@dataclass(frozen=True)
class _Eraser:
    """Erases texts of a task whose intake is locked.

    Attributes:
        task: the task.
        folders: its folders.
        versions: the folders of its dataset versions.
        cleaning: how its texts are cleaned today.
        erasures: what was asked for.
        datasets: the catalogue of versions.
        progress: reports how far the run is.
        failures: what went wrong so far.
    """

    task: str
    folders: TaskFolders
    versions: Sequence[Path]
    cleaning: Cleaning
    erasures: ErasureStore
    datasets: DatasetStore
    progress: Progress
    failures: _Failures = field(default_factory=_Failures)

    def erase(self, asked: Sequence[Erasure]) -> Found:
        """Erase texts that are asked for and not gone yet.

        Raises:
            DataError: something is damaged or cannot be written; all else is erased.
        """
        _clear(self.folders)
        intake, caches = Intake(self.folders.intake), self._caches()
        landed = LandedTexts(intake, caches, self.progress, self.failures.noted)
        aliases = landed.aliases({erasure.text_hash for erasure in asked})
        for erasure in asked:
            self.erasures.add_aliases(erasure, aliases[erasure.text_hash])
        found = _erase_stored(self.erasures, self.task, self.progress)
        affected = list(landed.affected(self.erasures.hashes(self.task)))
        places = pl.concat([pl.DataFrame(schema=PLACES), *(each.places for each in affected)])
        found["intake"] = Counter(places.filter(pl.col("text_hash") != "")["text_hash"])
        found["datasets"] = self._erase_published(places)
        # Last, so that a run that is killed before finds and counts them again.
        for each in affected:
            if each.rows.any():
                with self.failures.noted():
                    caches[0].forget(each.segment)
                    intake.erase(each.segment, each.rows)
        self.failures.report()
        return found

    def _erase_published(self, places: pl.DataFrame) -> Counter[str]:
        hashes, found = self.erasures.hashes(self.task), Counter[str]()
        for folder in self.versions:
            self.progress(0.6, f"erases from dataset version {folder.name[:12]}")
            with self.failures.noted():
                erased_count, of_rows = erase_rows(folder, hashes, places)
                found.update(of_rows)
                self.datasets.record_erased(folder.name, erased_count)
        return found

    def _caches(self) -> list[PreparedCache]:
        """One for today's cleaning, and for each that the versions were built by."""
        before = {_cleaning(version) for version in self.versions} - {None, self.cleaning}
        every = [self.cleaning, *filter(None, before)]
        return [PreparedCache(self.folders.prepared, cleaning) for cleaning in every]


def _erase_stored(erasures: ErasureStore, task: str, progress: Progress) -> Found:
    """Take all texts that were ever asked for out of the database."""
    hashes, found = erasures.hashes(task), Found()
    for table, of_rows in erasures.erase_stored(task, hashes.keys()):
        progress(0.5, f"erases from {table}")
        found.setdefault(table, Counter()).update(hashes[each] for each in of_rows)
    return found


def _cleaning(version: Path) -> Cleaning | None:
    """How a version's texts were cleaned; None where its manifest does not say."""
    try:
        return Cleaning.of(dataset_folder.read_manifest(version)["recipe"]["settings"])
    except (DataError, KeyError, TypeError):
        return None


def _clear(folders: TaskFolders) -> None:
    """Remove what no version and no build will use: a killed run's, and of removed segments."""
    folders.remove_left_over()
    for path in folders.prepared.glob("*/*/*.parquet"):
        if not (folders.intake / path.parent.name / path.name).exists():
            path.unlink()
