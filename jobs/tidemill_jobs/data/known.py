"""What the last build decided, so that the next one decides only on what that can have changed.

    <state_dir>/prepared/<task>/<recipe>/decided.parquet

It is a cache, as is all in its folder: what becomes of a row never depends on it. Where a segment
of it was changed or is not used any more, or whatever else had a say, all rows are decided on.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import polars as pl

from tidemill_jobs.data.parquet import written_whole
from tidemill_jobs.data.prepare import Prepared
from tidemill_jobs.data.stock import numbers_at, place_of

_VERSION = 1
"""To be raised with every change of what becomes of a row: of `decide` and what it calls."""

NOTHING_KNOWN = pl.DataFrame(schema={"number": pl.UInt64, "cluster": pl.UInt64, "was": pl.String})
"""No row was decided on before."""

_METADATA = "tidemill"


def read_known(path: Path, depends_on: str, prepared: Sequence[Prepared]) -> pl.DataFrame:
    """What was decided on rows that are there still, and holds but for what touched them since.

    Args:
        path: where it is kept.
        depends_on: what decisions depend on beside the rows.
        prepared: all segments now.

    Returns:
        `number`, the row's now; its `cluster`, null where it broke a rule; and `was`, the rule that
        set it aside, null where it was kept.
    """
    now = {identity: place for place, identity in enumerate(_identities(prepared))}
    # What is damaged is only a copy.
    with suppress(OSError, ValueError, KeyError, pl.exceptions.PolarsError):
        then = json.loads(pl.read_parquet_metadata(path)[_METADATA])
        if then["depends_on"] == [_VERSION, depends_on] and set(then["segments"]) <= now.keys():
            places = pl.Series([now[identity] for identity in then["segments"]], dtype=pl.UInt64)
            rows = pl.read_parquet(path)
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
    facts = {"depends_on": [_VERSION, depends_on], "segments": _identities(prepared)}
    with written_whole(path) as staged:
        rows.write_parquet(staged, compression="lz4", metadata={_METADATA: json.dumps(facts)})


def _identities(prepared: Sequence[Prepared]) -> list[str]:
    segments = [one.segment for one in prepared]
    return [
        f"{segment.source}/{segment.number}@{segment.path.stat().st_mtime_ns}"
        for segment in segments
    ]
