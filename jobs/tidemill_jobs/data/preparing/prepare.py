"""A segment, cleaned and measured once: what later builds need of it is kept beside the intake.

    <state_dir>/prepared/<task>/<cleaning>/<source>/000001.parquet

Cleaning, hashing and the signatures take most of a build's time, and a segment never changes: only
what landed since the last build costs anything. The folder is a cache; removing it costs time. What
the settings and sources of the last build do not use is removed from it.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import polars_hash as plh
import pyarrow.parquet as pq

from tidemill_core.text_repair import REPAIR_VERSION
from tidemill_jobs.context import Progress
from tidemill_jobs.data.landing.intake import Segment, read_segment
from tidemill_jobs.data.preparing.clean import Cleaning, clean
from tidemill_jobs.data.preparing.minhash import BAND_COLUMNS, signatures
from tidemill_jobs.data.text_hashing import normalised, text_hashes, text_key
from tidemill_jobs.data.whole_files import written_whole

_VERSION = 2
"""To be raised with every change of what this module or `clean` writes."""


@dataclass(frozen=True)
class Prepared:
    """A segment and the file with what was made of it.

    The file holds the segment's rows in their order: `text` and `label` cleaned; `rule` and
    `value` where a row breaks a rule; and, where it does not, `text_hash` (as `content_hash`),
    `text_key` (its first 64 bits), `exact_key` (a hash of the text as it is written) and the
    columns of `BAND_COLUMNS`.
    """

    segment: Segment
    path: Path

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Return columns of its rows."""
        return pl.read_parquet(self.path, columns=list(columns), glob=False)

    def row_count(self) -> int:
        """Return how many rows it has."""
        return int(pq.read_metadata(self.path).num_rows)


class PreparedCache:
    """Prepares a task's segments, each once for a way of cleaning."""

    def __init__(self, folder: Path, cleaning: Cleaning) -> None:
        """Prepare nothing yet.

        Args:
            folder: where to keep what was prepared.
            cleaning: how to clean.
        """
        described = json.dumps([_VERSION, REPAIR_VERSION, asdict(cleaning)], sort_keys=True)
        self._folder = folder / hashlib.sha256(described.encode()).hexdigest()[:12]
        self._cleaning = cleaning

    def prepare(self, segments: Sequence[Segment], progress: Progress) -> list[Prepared]:
        """Return segments, each prepared now or before.

        Raises:
            DataError: INTAKE_DAMAGED, or NOT_WRITTEN.
            RunCancelled: somebody asked the run to stop.
        """
        prepared = []
        for done, segment in enumerate(segments):
            progress(0.3 + 0.3 * done / len(segments), "cleans and measures texts")
            prepared.append(self._prepare(segment))
        return prepared

    def clear(self, segments: Sequence[Segment]) -> None:
        """Remove what is not of these segments' sources, or was cleaned in another way."""
        used = {self._folder / segment.source for segment in segments}
        others = (path for path in self._folder.parent.iterdir() if path != self._folder)
        undeclared = (path for path in self._folder.iterdir() if path not in used)
        for path in (*others, *undeclared):
            # It is a cache: what cannot be removed now does no harm.
            shutil.rmtree(path, ignore_errors=True)

    def text_hashes(self, segment: Segment) -> pl.Series:
        """Return `content_hash` of the segment's cleaned texts, null where there is none.

        Unlike `prepare`, it keeps nothing.

        Raises:
            DataError: INTAKE_DAMAGED.
        """
        target = self._target(segment)
        if _is_of(segment, target):
            # What is damaged there is only a copy.
            with suppress(OSError, pl.exceptions.PolarsError):
                return Prepared(segment, target).read(["text_hash"])["text_hash"]
        return text_hashes(clean(read_segment(segment), self._cleaning)["text"])

    def forget(self, segment: Segment) -> None:
        """Remove what was made of a segment, however it was cleaned."""
        for path in self._folder.parent.glob(f"*/{segment.source}/{segment.path.name}"):
            path.unlink()

    def _prepare(self, segment: Segment) -> Prepared:
        target = self._target(segment)
        if not _is_of(segment, target):
            measured = _measured(clean(read_segment(segment), self._cleaning))
            with written_whole(target) as staged:
                # Read at each build, so quickly rather than small.
                measured.write_parquet(staged, compression="lz4")
        return Prepared(segment, target)

    def _target(self, segment: Segment) -> Path:
        return self._folder / segment.source / segment.path.name


def _is_of(segment: Segment, target: Path) -> bool:
    """Whether it was made of the segment, and not of one in its place before."""
    return target.exists() and target.stat().st_mtime_ns >= segment.path.stat().st_mtime_ns


def _measured(cleaned: pl.DataFrame) -> pl.DataFrame:
    """Return cleaned rows with their hashes and signatures."""
    numbered = cleaned.with_row_index()
    fit = numbered.select("index", "text").drop_nulls("text")
    hashed = fit.with_columns(form=normalised(fit["text"])).select(
        "index",
        "form",
        text_hash=plh.col("form").chash.sha2_256(),
        exact_key=plh.col("text").nchash.xxh3_64(),
    )
    once = hashed.unique("text_hash", maintain_order=True)
    bands = pl.DataFrame(signatures(once["form"]), schema=list(BAND_COLUMNS), orient="row")
    measured = hashed.join(
        pl.concat([once.select("text_hash"), bands], how="horizontal"), on="text_hash", how="left"
    ).with_columns(text_key=text_key(pl.col("text_hash")))
    joined = numbered.join(measured.drop("form"), on="index", how="left", maintain_order="left")
    return joined.drop("index")
