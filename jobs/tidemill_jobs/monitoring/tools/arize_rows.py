"""The columns of the rows that Arize gets."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidemill_core.domain.split import content_hash
from tidemill_core.storage.exports import ExportedPrediction, ExportedVerdict
from tidemill_core.text_repair import TextRepair

MAX_TEXT = 1000
"""Longest text that is sent; Arize cuts longer tags."""

Rows = Mapping[str, Sequence[Any]]
"""Columns by their names."""


@dataclass(frozen=True)
class SentTexts:
    """The texts that may leave, as they leave.

    Attributes:
        repair: repairs and redacts them.
        kept_since: texts of older predictions have expired, removed or not; None if none expire.
        erased: `content_hash` of texts that must not be stored, so that a text that came again
            after its erasure does not leave before the nightly job removes it.
    """

    repair: TextRepair
    kept_since: datetime | None
    erased: Collection[str]

    def of(self, row: ExportedPrediction) -> str:
        """Return a prediction's text; empty if it may not leave."""
        if self.kept_since is not None and row.predict_time < self.kept_since:
            return ""
        if self.erased and content_hash(row.text) in self.erased:
            return ""
        return self.repair(row.text)


def prediction_rows(batch: Sequence[ExportedPrediction]) -> Rows:
    """Return the columns of predictions, without those of their texts."""
    return {
        "prediction_id": [each.prediction_id for each in batch],
        "time": [int(each.predict_time.timestamp()) for each in batch],
        "label": [each.label for each in batch],
        "confidence": [each.confidence for each in batch],
        "abstained": [str(each.abstained).lower() for each in batch],
        "latency_ms": [each.latency_ms for each in batch],
    }


def verdict_rows(batch: Sequence[ExportedVerdict]) -> Rows:
    """Return the columns of the labels that verdicts give."""
    return {
        "prediction_id": [each.prediction_id for each in batch],
        "actual_label": [each.label for each in batch],
    }
