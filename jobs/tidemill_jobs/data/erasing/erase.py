"""The job `erase_texts`: takes the texts that a person asked to have erased out of everything.

They go from the database, from what landed of the sources, and from the dataset versions that hold
them; there a tombstone stays for each row: its hash and digest, which the version's id is made of,
its label and its split. A version so still verifies, and what was trained on it is still known.
What comes in later with such a text is not kept either.

Cleaning may have changed a text. So all hashes of its forms are looked for first and written down
with the request; whatever holds one of them has the text.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from tidemill_core import dataset_folder
from tidemill_core.dataset_folder import version_folders
from tidemill_core.domain.erasure import Erasure
from tidemill_core.errors import DataError
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.erasing.landed_texts import LandedTexts
from tidemill_jobs.data.erasing.tombstones import PLACES, erase_rows
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.preparing.clean import Recipe
from tidemill_jobs.data.preparing.prepare import Workshop
from tidemill_jobs.data.publishing.assemble import workshop
from tidemill_jobs.data.whole_files import remove_left_over

Found = dict[str, Counter[str]]
"""Rows by where they were and by the hash that their text was asked for by."""


def run(context: JobContext) -> Result:
    """Erase the texts that are asked for and not gone yet.

    A run that is killed is made good by the next one. What is damaged or cannot be written is told
    once all else is erased. Of the texts that are gone already, those that came into the database
    anew go from there. Texts that wait in the spool for a database, and copies that somebody
    exported, are out of its reach.

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
    intake = Intake(context.settings.state_dir / "intake" / task)
    with intake.locked(context.progress):
        asked = [erasure for erasure in store.of_task(task) if erasure.erase_time is None]
        found = _erase_asked(context, intake, asked) if asked else _erase_stored(context)
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
        """A block whose DataError is told later."""
        try:
            yield
        except DataError as error:
            self._errors.append(error)

    def tell(self) -> None:
        """Raises DataError: something went wrong."""
        if self._errors:
            # What landed is looked through twice.
            told = "; ".join(dict.fromkeys(map(str, self._errors)))
            raise DataError(self._errors[0].reason, f"not all could be erased yet: {told}")


def _erase_asked(context: JobContext, intake: Intake, asked: Sequence[Erasure]) -> Found:
    failures, versions = _Failures(), _versions(context)
    workshops = _workshops(context, versions)
    landed = LandedTexts(intake, workshops, context.progress, failures.noted)
    _clear(context)
    aliases = landed.aliases({erasure.text_hash for erasure in asked})
    for erasure in asked:
        context.storage.erasures.know_as(erasure, aliases[erasure.text_hash])
    found = _erase_stored(context)
    holders = list(landed.holders(_known(context)))
    places = pl.concat([pl.DataFrame(schema=PLACES), *(each.places for each in holders)])
    found["intake"] = Counter(places.filter(pl.col("text_hash") != "")["text_hash"])
    found["datasets"] = _erase_published(context, versions, places, failures)
    # Last, so that a run that is killed before finds and counts them again.
    for each in holders:
        if each.rows.any():
            with failures.noted():
                workshops[0].forget(each.segment)
                intake.erase(each.segment, each.rows)
    failures.tell()
    return found


def _erase_published(
    context: JobContext, versions: Sequence[Path], places: pl.DataFrame, failures: _Failures
) -> Counter[str]:
    known, found = _known(context), Counter[str]()
    for folder in versions:
        context.progress(0.6, f"erases from dataset version {folder.name[:12]}")
        with failures.noted():
            erased_count, of_rows = erase_rows(folder, known, places)
            found.update(of_rows)
            context.storage.datasets.tell_erased(folder.name, erased_count)
    return found


def _erase_stored(context: JobContext) -> Found:
    """Take all texts that were ever asked for out of the database."""
    known, found = _known(context), Found()
    for table, hashes in context.storage.erasures.erase_stored(context.task, known.keys()):
        context.progress(0.5, f"erases from {table}")
        found.setdefault(table, Counter()).update(known[each] for each in hashes)
    return found


def _known(context: JobContext) -> Mapping[str, str]:
    """For each hash of a text that must go, the one that it was asked for by."""
    erasures = context.storage.erasures.of_task(context.task)
    # Where two texts share a form, it counts for the one that is not gone yet.
    erasures.sort(key=lambda erasure: erasure.erase_time is None)
    aliases = {alias: erasure.text_hash for erasure in erasures for alias in erasure.aliases}
    return aliases | {erasure.text_hash: erasure.text_hash for erasure in erasures}


def _versions(context: JobContext) -> list[Path]:
    folders = version_folders(context.settings.state_dir / "datasets")
    return [folder for folder in folders if folder.parent.name == context.task]


def _workshops(context: JobContext, versions: Sequence[Path]) -> list[Workshop]:
    """Today's, and those of the recipes that the versions were built by."""
    today = workshop(context)
    folder = context.settings.state_dir / "prepared" / context.task
    recipes = {recipe for recipe in map(_recipe, versions) if recipe is not None}
    return [today, *(Workshop(folder, recipe) for recipe in recipes - {today.recipe})]


def _recipe(version: Path) -> Recipe | None:
    """How a version's texts were cleaned; None where its manifest does not say."""
    try:
        settings = dataset_folder.read_manifest(version)["recipe"]["settings"]
        longest, shortest = settings["max_text_length"], settings["min_text_length"]
        return Recipe(longest, shortest, tuple(settings["redact"]))
    except (DataError, KeyError, TypeError):
        return None


def _clear(context: JobContext) -> None:
    """Remove what no version and no build will use: a killed run's, and of removed segments."""
    state, task = context.settings.state_dir, context.task
    for place in ("prepared", "datasets"):
        remove_left_over(state / place / task)
    for path in (state / "prepared" / task).glob("*/*/*.parquet"):
        if not (state / "intake" / task / path.parent.name / path.name).exists():
            path.unlink()
