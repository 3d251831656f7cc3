"""The landed texts by their hashes: of the raw and of the cleaned forms."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass

import polars as pl

from tidemill_core.domain.dataset import Exclusion
from tidemill_jobs.context import Progress
from tidemill_jobs.data.erasing.tombstones import PLACES
from tidemill_jobs.data.landing.intake import Intake, Segment, read_segment
from tidemill_jobs.data.preparing.prepare import PreparedCache
from tidemill_jobs.data.text_hashing import text_hashes

Noting = Callable[[], AbstractContextManager[None]]
"""Returns a context that keeps a DataError of its block for later."""

_FORM = "^form_.*$"


@dataclass(frozen=True)
class AffectedSegment:
    """A segment with texts to erase, or with erased texts.

    Attributes:
        segment: the segment.
        rows: whether to erase each row's text.
        places: PLACES of these rows and of rows that were erased before.
    """

    segment: Segment
    rows: pl.Series
    places: pl.DataFrame


class LandedTexts:
    """All landed texts of a task's sources, including removed sources.

    `caches` has one cache for each current or former way of cleaning; `noting` keeps the error of a
    damaged segment.
    """

    def __init__(
        self, intake: Intake, caches: Sequence[PreparedCache], progress: Progress, noting: Noting
    ) -> None:
        self._intake = intake
        self._caches = caches
        self._progress = progress
        self._noting = noting

    def aliases(self, asked: Set[str]) -> dict[str, set[str]]:
        """Return for each hash all hashes of the rows that have it in any form."""
        found: dict[str, set[str]] = {text_hash: set() for text_hash in asked}
        is_asked = pl.any_horizontal(pl.col(_FORM).is_in(list(asked)))
        for _, rows in self._segments():
            for forms in rows.select(_FORM).filter(is_asked).iter_rows():
                for text_hash in asked & set(forms):
                    found[text_hash].update(filter(None, forms))
        return found

    def affected(self, known: Mapping[str, str]) -> Iterator[AffectedSegment]:
        """Yield the segments with texts to erase; `known` has the requested hash for each hash."""
        asked = pl.col(_FORM).replace_strict(known, default=None, return_dtype=pl.String)
        for segment, rows in self._segments():
            found = rows.with_columns(text_hash=pl.coalesce(asked))
            which = found["text_hash"].is_not_null()
            # An erased row no longer says which text it had.
            gone = pl.when(pl.col("rule") == Exclusion.ERASED).then(pl.lit(""))
            places = found.select(
                "origin", source=pl.lit(segment.source), text_hash=pl.coalesce("text_hash", gone)
            ).drop_nulls("text_hash")
            if len(places):
                yield AffectedSegment(segment, which, places.select(PLACES.keys()))

    def _segments(self) -> Iterator[tuple[Segment, pl.DataFrame]]:
        """Yield each segment with `origin`, `rule` and, as `form_…`, the hashes of its texts."""
        for source in self._intake.sources():
            self._progress(0.3, f"searching the landed rows of {source}")
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
        # An unreadable row has a value, which may be the text.
        raw = read.select(pl.coalesce("text", "value")).to_series()
        forms = [text_hashes(raw), *(each.text_hashes(segment) for each in self._caches)]
        named = [form.alias(f"form_{number}") for number, form in enumerate(forms)]
        return read.select("origin", "rule").hstack(named)
