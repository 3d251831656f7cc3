"""The job `erase_texts`: takes the texts that a person asked to have erased out of everything.

They go from the database, from what landed of the sources, and from the dataset versions that hold
them; there a tombstone stays for each row: its hash and digest, which the version's id is made of,
its label and its split. A version so still verifies, and what was trained on it is still known.
What comes in later with such a text is not kept either.
"""

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass

import polars as pl

from tidemill_core.domain.erasure import Erasure
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.assemble import workshop
from tidemill_jobs.data.hashing import text_hashes
from tidemill_jobs.data.intake import Intake, Segment, read_segment
from tidemill_jobs.data.prepare import Workshop
from tidemill_jobs.data.tombstones import erase_rows

PLACES = dict.fromkeys(("source", "origin", "text_hash", "cleaned"), pl.String)
"""Where rows stood, which text they had, and the hash of what cleaning made of it, if it did."""

Found = dict[str, Counter[str]]
"""Rows by where they were and by their text's hash."""


def run(context: JobContext) -> Result:
    """Erase the texts that are asked for and not gone yet.

    A run that is killed is made good by the next one. Texts that wait in the spool for a database,
    and copies that somebody exported, are out of its reach.

    Returns:
        `erased_texts`, and the rows that held them by place.

    Raises:
        DataError: what landed, or a dataset version, is damaged or cannot be written.
        RunCancelled: somebody asked the run to stop; what was erased stays erased.
        StorageUnavailable: the database does not answer.
    """
    erasures = context.storage.erasures.of_task(context.task)
    asked = [erasure for erasure in erasures if erasure.erase_time is None]
    found: Found = {}
    if asked:
        found = _erase(context, {erasure.text_hash for erasure in asked})
        _finish(context, asked, found)
    rows = {f"erased_{place}": counts.total() for place, counts in found.items()}
    return {"erased_texts": len(asked), **rows}


def _erase(context: JobContext, hashes: Set[str]) -> Found:
    state, task = context.settings.state_dir, context.task
    found: Found = {}
    for table, of_rows in context.storage.erasures.erase_stored(task, hashes):
        context.progress(0.1, f"erases from {table}")
        found.setdefault(table, Counter()).update(of_rows)
    intake = Intake(state / "intake" / task)
    with intake.locked(context.progress):
        landed = list(_landed(context, intake, hashes))
        places = pl.concat([pl.DataFrame(schema=PLACES), *(each.places for each in landed)])
        found["intake"] = Counter(places["text_hash"])
        found["datasets"] = Counter()
        asked = dict(places.select("cleaned", "text_hash").drop_nulls().iter_rows())
        asked |= {text_hash: text_hash for text_hash in hashes}
        for folder in sorted((state / "datasets" / task).glob("[0-9a-f]*")):
            context.progress(0.6, f"erases from dataset version {folder.name[:12]}")
            version, of_rows = erase_rows(folder, asked, places)
            found["datasets"].update(of_rows)
            context.storage.datasets.add(version)
        # Last, since only here stands which rows of a version had such a text: a run that is
        # killed before finds them again.
        for each in landed:
            intake.erase(each.segment, each.rows)
            workshop(context).forget(each.segment)
    return found


@dataclass(frozen=True)
class _Landed:
    """A segment with texts to erase.

    Attributes:
        segment: the segment.
        rows: whether a row is to be erased, by its place.
        places: PLACES of those that are.
    """

    segment: Segment
    rows: pl.Series
    places: pl.DataFrame


def _landed(context: JobContext, intake: Intake, hashes: Set[str]) -> Iterator[_Landed]:
    prepared = workshop(context)
    for source in intake.sources():
        for segment in intake.segments(source):
            context.progress(0.3, f"looks through what landed of {source}")
            found = _found(segment, prepared, hashes)
            rows = found["text_hash"].is_not_null()
            if rows.any():
                places = found.select(source=pl.lit(source), **{n: n for n in list(PLACES)[1:]})
                yield _Landed(segment, rows, places.filter(rows))


def _found(segment: Segment, prepared: Workshop, hashes: Set[str]) -> pl.DataFrame:
    """`origin`, `text_hash` and `cleaned` of a segment's rows.

    `text_hash` is the one to erase that the text has, as it came or cleaned; null where it has
    none.
    """
    read = read_segment(segment, ["origin", "text"])
    cleaned = prepared.prepare(segment).read(["text_hash"])["text_hash"]
    either = pl.DataFrame({"raw": text_hashes(read["text"]), "cleaned": cleaned})
    wanted = pl.lit(pl.Series(list(hashes)))
    hits = [pl.when(pl.col(form).is_in(wanted.implode())).then(form) for form in either.columns]
    return either.select(pl.coalesce(hits).alias("text_hash"), "cleaned").insert_column(
        0, read["origin"]
    )


def _finish(context: JobContext, asked: list[Erasure], found: Found) -> None:
    for erasure in asked:
        counts = {place: of_texts[erasure.text_hash] for place, of_texts in found.items()}
        context.storage.erasures.finish(erasure, counts, context.clock())
