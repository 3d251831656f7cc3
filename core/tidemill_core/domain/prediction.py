"""Predictions: the text, the answer and the version that answered."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

SHADOW_METHOD = "Shadow"
"""The method of answers that no caller received."""


class Score(NamedTuple):
    """A label and its calibrated probability in [0, 1]."""

    label: str
    score: float


class Prediction(NamedTuple):
    """One answer, as returned and as stored; a tuple, because the front makes many a second.

    Attributes:
        prediction_id: signed id, see `tidemill_core.prediction_id`.
        task: the task.
        model_version: the version that answered.
        text: the text; empty if the task does not store texts, or it was removed.
        label: the best label.
        confidence: its calibrated probability in [0, 1].
        scores: the best labels, best first; as many as requested.
        abstained: whether the confidence is below the task's threshold.
        method: `Predict`, `BatchPredict`, `StreamPredict`, or `Shadow` for copies.
        request_id: the caller's id for correlation.
        routing_key: the caller's key for canaries.
        attributes: the caller's attributes for reports by slice.
        propensity: probability in (0, 1] with which the router chose this version.
        latency_ms: from the request's arrival to its answer.
        predict_time: when it was answered.
        text_hash: keyed hash of the text, see `tidemill_core.text_hash`, if the task stores it
            instead of the text; otherwise empty.
        text_length: the pieces of the text that the model read; None if they were not counted.
        unknown_pieces: the share of them that the tokenizer does not know, in [0, 1]; None if they
            were not counted.
    """

    prediction_id: str
    task: str
    model_version: int
    text: str
    label: str
    confidence: float
    scores: tuple[Score, ...]
    abstained: bool
    method: str
    request_id: str
    routing_key: str
    attributes: Mapping[str, str]
    propensity: float
    latency_ms: float
    predict_time: datetime
    text_hash: str = ""
    text_length: int | None = None
    unknown_pieces: float | None = None
