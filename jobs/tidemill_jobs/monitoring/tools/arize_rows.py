"""The columns of the rows that Arize gets."""

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill_core.storage.exports import ExportedPrediction, ExportedVerdict
from tidemill_core.text_repair import TextRepair

MAX_TEXT = 1000
"""Longest text that is sent; Arize cuts longer tags."""

Rows = Mapping[str, Sequence[Any]]
"""Columns by their names."""


def prediction_rows(batch: Sequence[ExportedPrediction], texts: TextRepair | None) -> Rows:
    """Return the columns of predictions, with texts if there is a repair for them."""
    rows: dict[str, Sequence[Any]] = {
        "prediction_id": [each.prediction_id for each in batch],
        "time": [int(each.predict_time.timestamp()) for each in batch],
        "label": [each.label for each in batch],
        "confidence": [each.confidence for each in batch],
        "abstained": [str(each.abstained).lower() for each in batch],
        "latency_ms": [each.latency_ms for each in batch],
    }
    if texts is not None:
        rows["text"] = [texts(each.text)[:MAX_TEXT] for each in batch]
    return rows


def verdict_rows(batch: Sequence[ExportedVerdict]) -> Rows:
    """Return the columns of the labels that verdicts give."""
    return {
        "prediction_id": [each.prediction_id for each in batch],
        "actual_label": [each.label for each in batch],
    }
