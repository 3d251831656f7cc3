"""Preference pairs as files for preference trainers such as TRL's.

The hash of a prompt decides its split, as for the texts of datasets, so no prompt is in two splits.
"""

import io
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from tidemill_core.domain.preference import JudgedPair
from tidemill_core.domain.split import Split, split_of
from tidemill_core.durable import sync, write_durably

Row = dict[str, str]
COLUMNS = ("prompt", "chosen", "rejected")


class Format(StrEnum):
    """The format of the files. The value is their suffix."""

    JSONL = "jsonl"
    PARQUET = "parquet"


def rows_by_split(pairs: Iterable[JudgedPair]) -> dict[Split, list[Row]]:
    """Return the majority's choice for each pair, in order and by split, without ties."""
    rows: dict[Split, list[Row]] = {split: [] for split in Split}
    for pair in pairs:
        if (winner := pair.winner) is not None:
            row = {column: getattr(winner, column) for column in COLUMNS}
            rows[split_of(pair.prompt_hash)].append(row)
    return rows


def write_export(
    folder: Path, rows: Mapping[Split, Sequence[Row]], file_format: Format
) -> list[Path]:
    """Write one file for each split that has rows; write all files or none.

    Args:
        folder: the folder of the files; it must not exist.
        rows: the rows of each split.
        file_format: the format of all files.

    Returns:
        The files.

    Raises:
        OSError: they cannot be written.
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
    # Polars is part of the extra [jobs], and takes a while to import.
    import polars

    buffer = io.BytesIO()
    frame = polars.DataFrame(rows, schema=dict.fromkeys(COLUMNS, polars.String))
    frame.write_parquet(buffer)
    return buffer.getvalue()
