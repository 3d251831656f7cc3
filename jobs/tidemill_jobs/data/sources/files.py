"""Files of user events. A file that has not changed is not read again.

So far one CSV a source, which is read anew as a whole when it changes.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tidemill_core.settings import CsvSource
from tidemill_jobs.data.sources.csv_file import SourceRows, read_csv
from tidemill_jobs.data.sources.source import BATCH_ROWS, ROWS, UNREADABLE, Batch, Watermark


class FileSource:
    """One CSV file with a header line."""

    labelled = True

    def __init__(self, settings: CsvSource) -> None:
        self._settings = settings
        described = settings.model_dump_json()
        self.name = f"{settings.path.stem}-{hashlib.sha256(described.encode()).hexdigest()[:8]}"

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """All rows, where the file is another than the last time."""
        path = self._settings.path
        found = read_csv(path, self._settings.text_column, self._settings.label_column)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        done = watermark.get("rows", 0) if watermark.get("digest") == digest else 0
        total = len(found.examples) + len(found.quarantined)
        if done == total:
            return
        replaced = frozenset([path.as_posix()]) if watermark and not done else frozenset()
        rows, unreadable = _frames(path.as_posix(), found)
        for start in range(done, max(len(rows), 1), BATCH_ROWS):
            end = min(start + BATCH_ROWS, len(rows))
            last = end == len(rows)
            reached: Mapping[str, Any] = {"digest": digest, "rows": total if last else end}
            none = pl.DataFrame(schema=dict(UNREADABLE))
            yield Batch(rows[start:end], unreadable if last else none, reached, replaced)
            replaced = frozenset()


def _frames(part: str, found: SourceRows) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = [{"part": part, "origin": r.origin, "text": r.text, "label": r.label} for r in found.examples]
    bad = [{"part": part, "origin": r.origin, "rule": r.rule, "value": r.value} for r in found.quarantined]
    return pl.DataFrame(rows, schema=dict(ROWS)), pl.DataFrame(bad, schema=dict(UNREADABLE))
