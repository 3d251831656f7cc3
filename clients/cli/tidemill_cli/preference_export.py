"""Preference pairs as files that preference trainers such as TRL's read.

A prompt's own hash decides which file it is in, as it does for the texts of datasets, so that no
prompt is on two sides.
"""

import io
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from tidemill_core.domain.preference import Pair
from tidemill_core.domain.split import Split, split_of
from tidemill_core.durable import sync, write_durably

Row = dict[str, str]
COLUMNS = ("prompt", "chosen", "rejected")


class Format(StrEnum):
    """How the files are written. The value is their suffix."""

    JSONL = "jsonl"
    PARQUET = "parquet"


def rows_by_split(pairs: Iterable[Pair]) -> dict[Split, list[Row]]:
    """What the majority of each pair's annotators say, in the pairs' order; ties are left out."""
    rows: dict[Split, list[Row]] = {split: [] for split in Split}
    for pair in pairs:
        if (winner := pair.winner) is not None:
            row = {column: getattr(winner, column) for column in COLUMNS}
            rows[split_of(pair.prompt_hash)].append(row)
    return rows


def write_export(
    folder: Path, rows: Mapping[Split, Sequence[Row]], file_format: Format
) -> list[Path]:
    """Write one file a split that has rows: all of them, or nothing.

    Args:
        folder: where they will be; it must not exist.
        rows: each split's.
        file_format: of all files.

    Returns:
        The files.

    Raises:
        OSError: they cannot be written there.
    """
    encode = _jsonl if file_format is Format.JSONL else _parquet
    names = []
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as outer:
        staged = Path(outer) / folder.name
        staged.mkdir()
        for split, of_split in rows.items():
            if of_split:
                names.append(f"{split}.{file_format}")
                write_durably(staged / names[-1], encode(of_split))
        sync(staged)
        staged.rename(folder)
    sync(folder.parent)
    return [folder / name for name in names]


def _jsonl(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _parquet(rows: Sequence[Row]) -> bytes:
    # Polars comes with the jobs' packages, and takes a while to import.
    import polars

    buffer = io.BytesIO()
    frame = polars.DataFrame(rows, schema=dict.fromkeys(COLUMNS, polars.String))
    frame.write_parquet(buffer)
    return buffer.getvalue()
