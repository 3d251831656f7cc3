"""Predict, BatchPredict and StreamPredict answer the same questions the same way."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, MAX_TEXT_LENGTH, Front
from tests.integration.server.models import LABELS, POISON, TinyModel
from tests.integration.server.refusal import of, read
from tidemill.v1 import prediction_service_pb2 as pb

Answer = pb.Prediction | str
"""A prediction, or the reason of the error."""


def predict(front: Front, **fields: Any) -> Answer:
    """Ask Predict."""
    return front.predictions.Predict(pb.PredictRequest(**fields), timeout=10).prediction


def batch_predict(front: Front, text: str, **fields: Any) -> Answer:
    """Ask BatchPredict about one text."""
    request = pb.BatchPredictRequest(texts=[text], **fields)
    [result] = front.predictions.BatchPredict(request, timeout=10).results
    return result.prediction if result.HasField("prediction") else read(result.error).reason


def stream_predict(front: Front, **fields: Any) -> Answer:
    """Ask StreamPredict about one text."""
    requests = iter([pb.StreamPredictRequest(id="r", **fields)])
    [result] = front.predictions.StreamPredict(requests, timeout=10)
    return result.prediction if result.HasField("prediction") else read(result.error).reason


pytestmark = BOTH_TRANSPORTS
WAYS = [predict, batch_predict, stream_predict]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def ask(request: pytest.FixtureRequest, front: Front) -> Callable[..., Answer]:
    """Return a function that asks one of the methods."""

    def asked(text: str = "lost card", task: str = "support", **fields: Any) -> Answer:
        try:
            found: Answer = request.param(front, text=text, task=task, **fields)
        except grpc.RpcError as error:
            return of(error).reason
        return found

    return asked


@pytest.mark.parametrize("top_k", [0, 1, 3, 100])
def test_the_answer_is_the_models(ask: Callable[..., Answer], top_k: int) -> None:
    """The scores are the model's, best first, as many as asked for and as there are labels."""
    [row] = TinyModel(1).offline(["lost card"])
    expected = sorted(zip(row.tolist(), LABELS, strict=True), reverse=True)[: max(top_k, 1)]
    answer = ask(top_k=top_k)
    assert isinstance(answer, pb.Prediction)
    assert [each.label for each in answer.scores] == [label for _, label in expected]
    assert [each.score for each in answer.scores] == pytest.approx([p for p, _ in expected])
    assert (answer.label, answer.confidence) == (answer.scores[0].label, answer.scores[0].score)
    assert (answer.model_version, answer.abstained) == (1, False)


def test_a_version_can_be_named(ask: Callable[..., Answer]) -> None:
    """A version that is named answers, whichever the champion is."""
    answer = ask(task="mixed", model_version=3)
    assert isinstance(answer, pb.Prediction)
    assert answer.model_version == 3


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"task": "nonsense"}, "UNKNOWN_TASK"),
        ({"task": "untrained"}, "NO_CHAMPION"),
        ({"model_version": 99}, "UNKNOWN_MODEL_VERSION"),
        ({"top_k": -1}, "INVALID_TOP_K"),
        ({"text": " "}, "BLANK_TEXT"),
        ({"text": "a\0"}, "CONTROL_CHARACTERS"),
        ({"text": "x" * (MAX_TEXT_LENGTH + 1)}, "TEXT_TOO_LONG"),
        ({"text": POISON}, "MODEL_OUTPUT_INVALID"),
    ],
)
def test_a_refusal_has_one_reason(
    ask: Callable[..., Answer], fields: dict[str, Any], reason: str
) -> None:
    """What one method refuses, the others refuse for the same reason."""
    assert ask(**fields) == reason
