"""What the last build decided, so that the next one decides only on what that can have changed.

    <state_dir>/prepared/<task>/<recipe>/decided.parquet

It is a cache, as is all in its folder: what becomes of a row never depends on it. Where anything
has changed that had a say (a segment or what was prepared of it, the order of the sources, a
setting, an erasure, Tidemill itself), or the file is damaged, all rows are decided on.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import polars as pl

from tidemill_jobs.data.deciding.prepared_rows import numbers_at, place_of
from tidemill_jobs.data.preparing.prepare import Prepared
from tidemill_jobs.data.whole_files import written_whole

_VERSION = 1
"""To be raised with every change of what becomes of a row: of `decide` and what it calls. Another
release of Tidemill voids what is known by itself."""

NOTHING_KNOWN = pl.DataFrame(
    schema={"number": pl.UInt64, "cluster": pl.UInt64, "rule_before": pl.String}
)
"""No row was decided on before."""

_METADATA = "tidemill"
_POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""Damage within a file makes Polars panic too."""


def read_known(path: Path, depends_on: str, prepared: Sequence[Prepared]) -> pl.DataFrame:
    """What was decided on rows that are there still, and holds but for what touched them since.

    Args:
        path: where it is kept.
        depends_on: what decisions depend on beside the rows.
        prepared: all segments now.

    Returns:
        `number`, the row's now; its `cluster`, null where it broke a rule; and `rule_before`, the
        rule that set it aside, null where it was kept.
    """
    identities = _identities(prepared)
    now = {identity: place for place, identity in enumerate(identities)}
    # What is damaged is only a copy.
    with suppress(OSError, ValueError, KeyError, *_POLARS_ERRORS):
        then = json.loads(pl.read_parquet_metadata(path)[_METADATA])
        landed = set(then["segments"])
        still = [identity for identity in identities if identity in landed]
        # Of rows that say the same the first is kept: their order has a say.
        in_order = still == then["segments"] and len(now) == len(identities)
        if then["depends_on"] == _all_of(depends_on) and in_order:
            places = pl.Series([now[identity] for identity in then["segments"]], dtype=pl.UInt64)
            rows = pl.read_parquet(path)
            if _digest(rows) != then["digest"]:
                return NOTHING_KNOWN
            place = places.gather(place_of(rows["number"]))
            return rows.with_columns(number=numbers_at(place, rows["number"]))
    return NOTHING_KNOWN


def write_known(
    path: Path, depends_on: str, prepared: Sequence[Prepared], rows: pl.DataFrame
) -> None:
    """Keep what was decided; `rows` as `read_known` returns them.

    Raises:
        DataError: NOT_WRITTEN.
    """
    facts = {
        "depends_on": _all_of(depends_on),
        "segments": _identities(prepared),
        "digest": _digest(rows),
    }
    with written_whole(path) as staged:
        rows.write_parquet(staged, compression="lz4", metadata={_METADATA: json.dumps(facts)})


def _all_of(depends_on: str) -> list[str]:
    return [str(_VERSION), version("tidemill"), depends_on]


def _identities(prepared: Sequence[Prepared]) -> list[str]:
    return [f"{one.segment.source}/{one.segment.number}@{_moments(one)}" for one in prepared]


def _moments(one: Prepared) -> list[int]:
    """When the segment was written, and what was made of it, which other libraries make anew."""
    return [path.stat().st_mtime_ns for path in (one.segment.path, one.path)]


def _digest(rows: pl.DataFrame) -> str:
    """Tells damage that can be read without an error."""
    described = str(rows.columns).encode() + rows.hash_rows().to_numpy().tobytes()
    return hashlib.sha256(described).hexdigest()
