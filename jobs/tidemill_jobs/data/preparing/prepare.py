"""A cache of prepared segments: rows with cleaned texts, hashes and signatures.

    <state_dir>/prepared/<task>/<cleaning>/<source>/000001.parquet

Preparing takes most of a build's time, but a segment never changes, so a build prepares only the
rows that landed since the last one. A build removes files that its settings and sources do not use.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import polars_hash as plh

from tidemill_core.errors import DataError
from tidemill_core.text_repair import REPAIR_VERSION
from tidemill_jobs.cluster import Map
from tidemill_jobs.context import Progress
from tidemill_jobs.data.landing.intake import Segment, read_segment
from tidemill_jobs.data.preparing.clean import Cleaning, clean
from tidemill_jobs.data.preparing.minhash import BAND_COLUMNS, signatures
from tidemill_jobs.data.text_hashing import normalized, text_hashes, text_key
from tidemill_jobs.data.whole_files import read_rows, written_whole

_VERSION = 2
"""Raise it with every change to the files' content, here or in `clean`."""


@dataclass(frozen=True)
class Prepared:
    """A segment and the file with its prepared rows.

    The file has the segment's rows in order: cleaned `text` and `label`; `rule` and `value` if a
    row breaks a rule; otherwise `text_hash` (`content_hash`), `text_key` (its first 64 bits),
    `exact_key` (a hash of the unnormalized text) and `BAND_COLUMNS`.
    """

    segment: Segment
    path: Path

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Return columns of its rows.

        Raises:
            DataError: PREPARED_DAMAGED.
        """
        return read_rows(self.path, _damaged, list(columns))


class PreparedCache:
    """A cache of a task's prepared segments, for one way of cleaning."""

    def __init__(self, folder: Path, cleaning: Cleaning) -> None:
        described = json.dumps([_VERSION, REPAIR_VERSION, asdict(cleaning)], sort_keys=True)
        self._folder = folder / hashlib.sha256(described.encode()).hexdigest()[:12]
        self._cleaning = cleaning

    def prepare(
        self, segments: Sequence[Segment], progress: Progress, mapped: Map[Any, Any] = map
    ) -> list[Prepared]:
        """Return the segments prepared, from the cache or newly; `mapped` shares the work.

        Raises:
            DataError: INTAKE_DAMAGED, or NOT_WRITTEN.
            RunCanceled: someone stopped the run.
        """
        missing = [each for each in segments if not _is_of(each, self._target(each))]
        found = mapped(partial(measured, self._cleaning), map(read_segment, missing))
        for done, segment in enumerate(missing):
            progress(0.3 + 0.3 * done / len(missing), "cleaning and measuring texts")
            with written_whole(self._target(segment)) as staged:
                # Each build reads it, so speed matters more than size.
                next(found).write_parquet(staged, compression="lz4")
        return [Prepared(segment, self._target(segment)) for segment in segments]

    def clear(self, segments: Sequence[Segment]) -> None:
        """Remove files of other sources and other ways of cleaning."""
        used = {self._folder / segment.source for segment in segments}
        others = (path for path in self._folder.parent.iterdir() if path != self._folder)
        undeclared = (path for path in self._folder.iterdir() if path not in used)
        for path in (*others, *undeclared):
            # A file that cannot be removed does no harm in a cache.
            shutil.rmtree(path, ignore_errors=True)

    def text_hashes(self, segment: Segment) -> pl.Series:
        """Return `content_hash` of the segment's cleaned texts, null for a row without text.

        Unlike `prepare`, it writes nothing.

        Raises:
            DataError: INTAKE_DAMAGED.
        """
        target = self._target(segment)
        if _is_of(segment, target):
            with suppress(DataError):  # a damaged cache does not matter
                return Prepared(segment, target).read(["text_hash"])["text_hash"]
        return text_hashes(clean(read_segment(segment), self._cleaning)["text"])

    def forget(self, segment: Segment) -> None:
        """Remove the prepared files of a segment for all ways of cleaning."""
        for path in self._folder.parent.glob(f"*/{segment.source}/{segment.path.name}"):
            path.unlink()

    def _target(self, segment: Segment) -> Path:
        return self._folder / segment.source / segment.path.name


def _damaged(path: Path, detail: object) -> DataError:
    cure = "remove the file; the next build prepares its rows again"
    return DataError("PREPARED_DAMAGED", f"{path} is damaged: {detail}; {cure}")


def _is_of(segment: Segment, target: Path) -> bool:
    """Return whether a prepared file is newer than the segment."""
    return target.exists() and target.stat().st_mtime_ns >= segment.path.stat().st_mtime_ns


def measured(cleaning: Cleaning, rows: pl.DataFrame) -> pl.DataFrame:
    """Return a segment's rows, cleaned, with their hashes and signatures."""
    numbered = clean(rows, cleaning).with_row_index()
    fit = numbered.select("index", "text").drop_nulls("text")
    hashed = fit.with_columns(form=normalized(fit["text"])).select(
        "index",
        "form",
        text_hash=plh.col("form").chash.sha2_256(),
        exact_key=plh.col("text").nchash.xxh3_64(),
    )
    once = hashed.unique("text_hash", maintain_order=True)
    bands = pl.DataFrame(signatures(once["form"]), schema=list(BAND_COLUMNS), orient="row")
    found = hashed.join(
        pl.concat([once.select("text_hash"), bands], how="horizontal"), on="text_hash", how="left"
    ).with_columns(text_key=text_key(pl.col("text_hash")))
    joined = numbered.join(found.drop("form"), on="index", how="left", maintain_order="left")
    return joined.drop("index")
