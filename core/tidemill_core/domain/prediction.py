"""Predictions: what was answered, to which text, by which version."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Score:
    """A label and its calibrated probability in [0, 1]."""

    label: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """One answer, as it was given and as it is written down.

    Attributes:
        prediction_id: signed id, see `tidemill_core.prediction_id`.
        task: the task asked.
        model_version: the version that answered.
        text: the text asked about; empty where the task keeps none, or no longer.
        label: the best label.
        confidence: its calibrated probability in [0, 1].
        scores: the best labels, best first, as many as were asked for.
        abstained: the confidence lies under the task's threshold.
        method: `Predict`, `BatchPredict`, `StreamPredict`, or `Shadow` for copies.
        request_id: the caller's, for correlation.
        routing_key: the caller's, for canaries.
        attributes: the caller's, for slices.
        propensity: probability in (0, 1] with which the router chose this version.
        latency_ms: from the request's arrival to its answer.
        predict_time: when it was answered.
        text_hash: keyed hash of the text, see `tidemill_core.text_hash`, where the task keeps that
            instead; otherwise empty.
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
