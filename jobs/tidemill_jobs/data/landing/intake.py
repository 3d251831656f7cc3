"""The intake: each batch of a source lands as one immutable Parquet file, a segment.

    <state_dir>/intake/<task>/<source>/000001.parquet      raw rows, and the watermark after them

A segment and its watermark are one file that is written under a temporary name and then renamed. So
the next read starts exactly where the last segment ended, even if a run was killed: no row is lost
and none lands twice. A version's manifest names the last segment of each source that the version
was built from, so it can be rebuilt.
"""

import json
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from tidemill_core.domain.dataset import Exclusion
from tidemill_core.domain.example import LabelSource
from tidemill_core.errors import DataError
from tidemill_core.intake_lock import intake_lock
from tidemill_jobs.context import Progress
from tidemill_jobs.data.landing.changed_rows import COMPARED, ChangedRows
from tidemill_jobs.data.sources.errors import NoRows
from tidemill_jobs.data.sources.source import ROWS, Batch, Source, Watermark
from tidemill_jobs.data.text_hashing import text_hashes
from tidemill_jobs.data.whole_files import read_rows, remove_left_over, written_whole

LANDED: Mapping[str, Any] = {
    **ROWS,
    "label_source": pl.String,
    "weight": pl.Float64,
    "judges": pl.Boolean,
    "rule": pl.String,
    "value": pl.String,
}
"""Columns of a segment. A row with a `rule` is unreadable, withdrawn or erased."""

_METADATA = "tidemill"


@dataclass(frozen=True)
class Segment:
    """One landed batch.

    Attributes:
        source: name of its source.
        number: its position among the source's segments, from 1.
        path: its file.
        watermark: where the next read of the source starts.
        replaced: parts whose rows in earlier segments it replaces.
    """

    source: str
    number: int
    path: Path
    watermark: Watermark = field(hash=False)
    replaced: frozenset[str]


class Intake:
    """The landed rows of a task's sources. Only one process at a time may land: see `locked`.

    No text whose `content_hash` is in `erased` lands.
    """

    def __init__(self, folder: Path, erased: Set[str] = frozenset()) -> None:
        self._folder = folder
        self._erased = erased

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Lock the task's rows for the block, after waiting for other processes.

        Raises:
            RunCanceled: someone stopped the run while it waited.
        """
        waits = partial(progress, 0.0, "waits for another build of this task")
        with intake_lock(self._folder, waits):
            remove_left_over(self._folder)
            yield

    def segments(self, source: str) -> list[Segment]:
        """Return a source's segments in the order they landed.

        Raises:
            DataError: INTAKE_DAMAGED.
        """
        paths = sorted((self._folder / source).glob("[0-9]*.parquet"))
        return [_segment(source, path) for path in paths]

    def land(self, source: Source, progress: Progress) -> list[Segment]:
        """Land the new rows of a source; return all its segments.

        A row equal to the latest row with its key does not land again.

        Raises:
            DataError: the source cannot be used; landed batches stay. NO_ROWS: no row ever landed.
            RunCanceled: someone stopped the run.
        """
        landed = self.segments(source.name)
        watermark: Watermark = landed[-1].watermark if landed else {}
        number = landed[-1].number if landed else 0
        label_source = str(LabelSource.SOURCE) if source.labeled else None
        changed = ChangedRows(read_segment(segment, list(COMPARED)) for segment in landed)
        for batch in source.read(watermark):
            progress(0.0, f"reading {source.name}")
            rows = changed.only(without_texts(_landed(batch, label_source), self._erased))
            if len(rows) or batch.replaced or batch.watermark != watermark:
                number += 1
                path = self._path(source.name, number)
                _write(path, rows, batch.watermark, batch.replaced)
            watermark = batch.watermark
        if number == 0:
            raise NoRows(source.place)
        return self.segments(source.name)

    def land_snapshot(self, source: str, rows: pl.DataFrame) -> list[Segment]:
        """Land the differences between a source's current rows and its landed rows.

        A landed row whose key is missing from the current rows, LANDED with unique keys, lands
        again as WITHDRAWN. Return all segments of the source.

        Raises:
            DataError: INTAKE_DAMAGED.
        """
        rows = without_texts(rows, self._erased)
        segments = self.segments(source)
        before = self._latest(segments)
        changed = rows.join(before, on=list(LANDED), how="anti", nulls_equal=True)
        gone = before.join(rows, on="key", how="anti")
        gone = gone.filter(pl.col("rule").ne_missing(Exclusion.WITHDRAWN)).with_columns(
            rule=pl.lit(Exclusion.WITHDRAWN), value=pl.lit(""), text=pl.lit(None, pl.String)
        )
        new = pl.concat([changed, gone]).sort("key")
        if len(new):
            number = segments[-1].number + 1 if segments else 1
            _write(self._path(source, number), new, {}, frozenset())
        return self.segments(source)

    def sources(self) -> list[str]:
        """Return the names of all sources with landed rows, including removed sources."""
        return sorted(path.parent.name for path in self._folder.glob("*/000001.parquet"))

    def erase(self, segment: Segment, which: pl.Series) -> None:
        """Erase the texts of some rows from a segment; nothing else ever changes one.

        Raises:
            DataError: INTAKE_DAMAGED, or NOT_WRITTEN.
        """
        rows = _erased(read_segment(segment), which)
        _write(segment.path, rows, segment.watermark, segment.replaced)

    def _latest(self, segments: list[Segment]) -> pl.DataFrame:
        """Return the latest row of each key."""
        frames = [read_segment(segment) for segment in segments]
        return pl.concat([pl.DataFrame(schema=LANDED), *frames]).unique("key", keep="last")

    def _path(self, source: str, number: int) -> Path:
        return self._folder / source / f"{number:06d}.parquet"


def read_segment(segment: Segment, columns: list[str] | None = None) -> pl.DataFrame:
    """Return the rows of a segment.

    Raises:
        DataError: INTAKE_DAMAGED.
    """
    return read_rows(segment.path, _damaged, columns)


def without_texts(rows: pl.DataFrame, erased: Set[str]) -> pl.DataFrame:
    """Return the rows; those with an erased text are ERASED, without text and label."""
    if not erased:
        return rows
    return _erased(rows, text_hashes(rows["text"]).is_in(list(erased)).fill_null(value=False))


def _erased(rows: pl.DataFrame, which: pl.Series) -> pl.DataFrame:
    stays = pl.when(~pl.lit(which))
    return rows.with_columns(
        *(stays.then(name).alias(name) for name in ("text", "label", "annotator")),
        rule=stays.then("rule").otherwise(pl.lit(Exclusion.ERASED)),
        value=stays.then("value").otherwise(pl.lit("")),
    )


def _write(path: Path, rows: pl.DataFrame, watermark: Watermark, replaced: Set[str]) -> None:
    facts = json.dumps({"watermark": watermark, "replaced": sorted(replaced)})
    with written_whole(path) as staged:
        rows.write_parquet(staged, metadata={_METADATA: facts})


def _landed(batch: Batch, label_source: str | None) -> pl.DataFrame:
    rows = pl.concat([batch.rows, batch.unreadable], how="diagonal")
    return rows.select(
        *ROWS,
        label_source=pl.lit(label_source, pl.String),
        weight=pl.lit(1.0),
        judges=pl.lit(label_source is not None),
        rule="rule",
        value="value",
    )


def _segment(source: str, path: Path) -> Segment:
    try:
        facts = json.loads(pl.read_parquet_metadata(path)[_METADATA])
        return Segment(
            source, int(path.stem), path, facts["watermark"], frozenset(facts["replaced"])
        )
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, detail: object) -> DataError:
    cure = f"remove the folder {path.parent}; the next build reads the source again"
    return DataError("INTAKE_DAMAGED", f"{path} is damaged: {detail}; {cure}")
