"""Feedback on predictions, in addition to a task's source."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.storage.values import verdict
from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.erasing.requests import NAMED, ROWS
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.prediction import Prediction
from tidemill_jobs.context import JobContext


@pytest.fixture
def correct(context: JobContext) -> Callable[[str, str, str], None]:
    """Return a function that stores a prediction and the label that a user gave it."""

    def store(prediction_id: str, text: str, label: str) -> None:
        context.storage.predictions.add([_prediction(prediction_id, text)])
        context.storage.feedback.add([_verdict(prediction_id, label)])

    return store


def _prediction(prediction_id: str, text: str) -> Prediction:
    return Prediction(
        prediction_id=prediction_id,
        task="support",
        model_version=1,
        text=text,
        label="predicted",
        confidence=0.5,
        scores=(),
        abstained=False,
        method="Predict",
        request_id="",
        routing_key="",
        attributes={},
        propensity=1.0,
        latency_ms=1.0,
        predict_time=NOW,
    )


def _verdict(prediction_id: str, label: str) -> Feedback:
    return Feedback(
        feedback_id=f"feedback-{prediction_id}",
        prediction_id=prediction_id,
        task="support",
        model_version=1,
        correct=None,
        label=label,
        source="user",
        comment="",
        request_id="",
        create_time=NOW,
    )


@pytest.fixture
def built(
    context: JobContext, source: Path, correct: Callable[[str, str, str], None]
) -> JobContext:
    """Return a run with a version that has the text kept, merged and quarantined, and verdicts."""
    source.write_text(ROWS, encoding="utf-8")
    correct("p1", f"{NAMED} ", "a")
    correct("p2", "another", "b")
    context.storage.feedback.add([verdict("p3", text=NAMED, label="a"), verdict("p4")])
    build(context)
    return context
