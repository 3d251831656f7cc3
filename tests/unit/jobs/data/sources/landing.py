"""Landing of a source's batches, as the intake does it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from tidemill_core.errors import DataError
from tidemill_jobs.data.sources.source import Batch, Source, Watermark

Row = dict[str, object]


@dataclass
class Landing:
    """What has landed of a source, and what of it counts.

    Attributes:
        rows: those that count now: readable ones with ROWS, the others with UNREADABLE.
        watermark: where the source is read on.
    """

    rows: list[Row] = field(default_factory=list)
    watermark: Watermark = field(default_factory=dict)

    def read(self, source: Source, batches: int | None = None) -> list[Batch]:
        """Read the source to its end, or a number of batches; return the batches."""
        return list(self._landed(islice(source.read(self.watermark), batches)))

    def try_to_read(self, source: Source) -> str:
        """Read until an error; return its reason, or an empty string without one."""
        with suppress(StopIteration):
            try:
                self.read(source)
            except DataError as error:
                return error.reason
        return ""

    @property
    def texts(self) -> list[object]:
        """The texts that count, in the order they landed."""
        return [row["text"] for row in self.rows if "text" in row]

    @property
    def unreadable(self) -> list[tuple[object, object]]:
        """The line or key, and the rule, of unreadable rows that count."""
        found = [row for row in self.rows if "rule" in row]
        return [
            (str(row["origin"]).replace("#", ":").rsplit(":")[-1], row["rule"]) for row in found
        ]

    def _landed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            new = [*batch.rows.iter_rows(named=True), *batch.unreadable.iter_rows(named=True)]
            keys = {row["key"] for row in new} - {None}
            self.rows = [
                row
                for row in self.rows
                if row["part"] not in batch.replaced and row["key"] not in keys
            ]
            self.rows += {row["key"] or row["origin"]: row for row in new}.values()
            self.watermark = batch.watermark
            yield batch
