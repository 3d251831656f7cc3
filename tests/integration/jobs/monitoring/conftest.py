"""A task with a champion that has answered, on a real database and model repository."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import cycle

import pytest

from tests.integration.jobs.conftest import NOW
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.labeling import Judgement, LabelReason, LabelRequest
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.prediction import Prediction
from tidemill_core.model_repository import ModelManifest
from tidemill_core.storage.database import Page
from tidemill_core.storage.deployments import Change
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.drift.reference import count_reference

HOUR_AGO = NOW - timedelta(hours=1)
LABELS = ("a", "b", "c", "d")
Answer = Callable[..., list[str]]
Judge = Callable[..., None]

_PREDICTION = Prediction(
    prediction_id="",
    task="support",
    model_version=1,
    text="the text",
    label="a",
    confidence=0.5,
    scores=(),
    abstained=False,
    method="Predict",
    request_id="",
    routing_key="",
    attributes={},
    propensity=1.0,
    latency_ms=5.0,
    predict_time=HOUR_AGO,
)


@pytest.fixture
def context(newcomer: JobContext) -> JobContext:
    """A run for the task once version 1 is its champion.

    On a hold-out of 400 rows it predicted four labels evenly, with confidences of 0.7 and
    0.9, and was right on 90 %.
    """
    models = newcomer.storage.models
    models.add_candidate("support", "onnx", "dataset", NOW)
    manifest = ModelManifest(
        task="support",
        version=1,
        model_format="onnx",
        labels=LABELS,
        sequence_length=32,
        vocabulary_size=100,
        temperature=1.0,
        measures={"accuracy": 0.9},
        reference=count_reference(LABELS, LABELS * 100, [0.72, 0.92] * 200),
        dataset_version="dataset",
        run_id="training",
        create_time=NOW.isoformat(),
    )
    newcomer.repository.publish(manifest, b"model", "tokenizer")
    models.judge("support", 1, ModelState.VALIDATED, manifest.measures, "passed", NOW)
    models.promote("support", 1, Change("test", "", "", NOW))
    return newcomer


@pytest.fixture
def answer(newcomer: JobContext) -> Answer:
    """Store predictions and return their ids."""

    def store(
        labels: Sequence[str],
        confidences: Sequence[float] = (0.72, 0.92),
        latency_ms: float = 5.0,
        method: str = "Predict",
        version: int = 1,
        time: datetime = HOUR_AGO,
    ) -> list[str]:
        template = _PREDICTION._replace(
            latency_ms=latency_ms,
            method=method,
            model_version=version,
            predict_time=time,
        )
        predictions = [
            template._replace(prediction_id=uuid.uuid4().hex, label=label, confidence=confidence)
            for label, confidence in zip(labels, cycle(confidences), strict=False)
        ]
        newcomer.storage.predictions.add(predictions)
        return [prediction.prediction_id for prediction in predictions]

    return store


@pytest.fixture
def judge(context: JobContext) -> Judge:
    """Store a user's verdict on each of some predictions: a label, a confirmation or a denial."""

    def store(prediction_ids: list[str], given: str | bool, source: str = "user") -> None:
        verdicts = [
            Feedback(
                feedback_id=uuid.uuid4().hex,
                prediction_id=prediction_id,
                task="support",
                model_version=1,
                correct=given if isinstance(given, bool) else None,
                label=given if isinstance(given, str) else None,
                source=source,
                comment="",
                request_id="",
                create_time=context.clock(),
            )
            for prediction_id in prediction_ids
        ]
        context.storage.feedback.add(verdicts)

    return store


@pytest.fixture
def audit(context: JobContext) -> Judge:
    """Draw predictions for an audit, and let a person give them all one label."""

    def store(prediction_ids: list[str], label: str = "") -> None:
        text, now, items = uuid.uuid4().hex, context.clock(), context.storage.label_items
        items.add(
            [
                LabelRequest("support", text, LabelReason.AUDIT, now, (), 0.1, each)
                for each in prediction_ids
            ],
            1,
            now,
        )
        [newest], _ = items.page("support", [], None, Page(1), now)
        if label:
            given = Judgement(newest.label_item_id, "ana", label, "", now)
            items.submit("support", given, {})

    return store
