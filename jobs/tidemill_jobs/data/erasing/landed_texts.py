"""Which texts landed, by their hashes: as they came, and as they are cleaned."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass

import polars as pl

from tidemill_jobs.context import Progress
from tidemill_jobs.data.erasing.tombstones import PLACES
from tidemill_jobs.data.landing.intake import ERASED, Intake, Segment, read_segment
from tidemill_jobs.data.preparing.prepare import PreparedCache
from tidemill_jobs.data.text_hashing import text_hashes

Noting = Callable[[], AbstractContextManager[None]]
"""Makes a block that keeps a DataError from ending what is done around it."""

_FORM = "^form_.*$"


@dataclass(frozen=True)
class AffectedSegment:
    """A segment that has texts to erase, or had some.

    Attributes:
        segment: the segment.
        rows: whether a row's text is to be erased, by its place.
        places: PLACES of those rows, and of those that were erased before.
    """

    segment: Segment
    rows: pl.Series
    places: pl.DataFrame


class LandedTexts:
    """All texts that landed of a task's sources, declared still or not."""

    def __init__(
        self, intake: Intake, caches: Sequence[PreparedCache], progress: Progress, noting: Noting
    ) -> None:
        """Nothing is read yet.

        Args:
            intake: what landed.
            caches: one for each way in which texts are or were cleaned.
            progress: told of each source.
            noting: what a damaged segment is read in.
        """
        self._intake = intake
        self._caches = caches
        self._progress = progress
        self._noting = noting

    def aliases(self, asked: Set[str]) -> dict[str, set[str]]:
        """For each of some hashes the other hashes of the rows that have it in any form."""
        found: dict[str, set[str]] = {text_hash: set() for text_hash in asked}
        is_asked = pl.any_horizontal(pl.col(_FORM).is_in(list(asked)))
        for _, rows in self._segments():
            for forms in rows.select(_FORM).filter(is_asked).iter_rows():
                for text_hash in asked & set(forms):
                    found[text_hash].update(filter(None, forms))
        return found

    def affected(self, known: Mapping[str, str]) -> Iterator[AffectedSegment]:
        """The segments with texts to erase.

        Args:
            known: for each hash of a text that must go, the one that it was asked for by.
        """
        asked = pl.col(_FORM).replace_strict(known, default=None, return_dtype=pl.String)
        for segment, rows in self._segments():
            found = rows.with_columns(text_hash=pl.coalesce(asked))
            which = found["text_hash"].is_not_null()
            # Which text it was is forgotten, that it was one is not.
            gone = pl.when(pl.col("rule") == ERASED).then(pl.lit(""))
            places = found.select(
                "origin", source=pl.lit(segment.source), text_hash=pl.coalesce("text_hash", gone)
            ).drop_nulls("text_hash")
            if len(places):
                yield AffectedSegment(segment, which, places.select(PLACES.keys()))

    def _segments(self) -> Iterator[tuple[Segment, pl.DataFrame]]:
        """Each segment with `origin`, `rule` and, as `form_…`, the hashes of its rows' texts."""
        for source in self._intake.sources():
            self._progress(0.3, f"looks through what landed of {source}")
            segments: list[Segment] = []
            with self._noting():
                segments = self._intake.segments(source)
            for segment in segments:
                rows = None
                with self._noting():
                    rows = self._rows(segment)
                if rows is not None:
                    yield segment, rows

    def _rows(self, segment: Segment) -> pl.DataFrame:
        read = read_segment(segment, ["origin", "rule", "text", "value"])
        # What could not be read as a row has its value instead, which may be just the text.
        raw = read.select(pl.coalesce("text", "value")).to_series()
        forms = [text_hashes(raw), *(each.text_hashes(segment) for each in self._caches)]
        named = [form.alias(f"form_{number}") for number, form in enumerate(forms)]
        return read.select("origin", "rule").hstack(named)
