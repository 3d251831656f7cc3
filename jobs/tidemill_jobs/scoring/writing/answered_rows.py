"""The rows of the output: those of the input, with the columns of the prediction."""

from collections.abc import Iterator
from typing import Any

from tidemill_jobs.scoring.answers import RowAnswers
from tidemill_jobs.scoring.chunks import Chunk
from tidemill_jobs.scoring.scorer import ServedVersion


def answered_rows(
    chunk: Chunk, answers: RowAnswers, version: ServedVersion
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a chunk with the prediction's columns."""
    ids = answers.prediction_ids
    columns = zip(
        chunk.rows,
        answers.labels.tolist(),
        answers.confidences.tolist(),
        answers.problems,
        ids or [""] * len(chunk.rows),
        strict=True,
    )
    for row, label, confidence, problem, prediction_id in columns:
        found: dict[str, Any] = {
            **row.values,
            "prediction_label": version.labels[label] if label >= 0 else None,
            "prediction_confidence": round(confidence, 6) if label >= 0 else None,
            "prediction_abstained": confidence < version.abstain_below if label >= 0 else None,
            "prediction_model_version": version.number,
            "prediction_error": f"{problem}: {row.origin}" if problem else None,
        }
        if ids:
            found["prediction_id"] = prediction_id or None
        yield found
