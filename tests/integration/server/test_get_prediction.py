"""GetPrediction: stored predictions."""

import base64
import secrets
from datetime import UTC, datetime

import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.refusal import refusal, words
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.feedback_service_pb2 import SubmitFeedbackRequest
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner, load_keys

INVALID = ("INVALID_ARGUMENT", "INVALID_PREDICTION_ID", "prediction_id")
CLAIMS = PredictionClaims("support", 1, datetime(2026, 1, 2, tzinfo=UTC), 1.0)


def get(front: Front, prediction_id: str) -> pb.GetPredictionResponse:
    """Request a prediction."""
    return front.predictions.GetPrediction(
        pb.GetPredictionRequest(prediction_id=prediction_id), timeout=10
    )


def test_a_prediction_comes_back_as_it_was_answered(front: Front, workspace: Workspace) -> None:
    """The answer, the text and all the caller's fields are stored and returned."""
    request = pb.PredictRequest(
        task="support",
        text="Lost my card 漢字",
        top_k=3,
        request_id="r-1",
        routing_key="u-1",
        attributes={"channel": "mail"},
    )
    answer = front.predictions.Predict(request, timeout=10).prediction
    wait_until(lambda: answer.prediction_id in workspace.stored_ids(), "the prediction is stored")
    found = get(front, answer.prediction_id)
    assert found.prediction == answer
    assert (found.task, found.text) == (request.task, request.text)
    assert (found.request_id, found.routing_key) == ("r-1", "u-1")
    assert dict(found.attributes) == {"channel": "mail"}
    assert found.propensity == 1.0
    assert 0 < found.latency_ms < 10_000
    assert abs(found.predict_time.ToDatetime(UTC) - datetime.now(UTC)).total_seconds() < 60


def test_what_the_model_read_is_stored(front: Front, workspace: Workspace) -> None:
    """A prediction has the number of its text's pieces, and the share that is unknown."""
    request = pb.PredictRequest(task="support", text="card card \U0001f0a1")
    answer = front.predictions.Predict(request, timeout=10).prediction
    wait_until(lambda: answer.prediction_id in workspace.stored_ids(), "the prediction is stored")
    found = workspace.storage.predictions.get(answer.prediction_id)
    assert found is not None
    assert found.text_length == 3
    assert found.unknown_pieces == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "change", ["empty", "cut", "flipped", "longer", "words", "huge", "foreign"]
)
def test_an_id_that_is_not_ours_is_refused(front: Front, workspace: Workspace, change: str) -> None:
    """Forged, cut, changed and foreign ids are INVALID_ARGUMENT, also for feedback."""
    keys = load_keys(workspace.folder / "var")
    ours = PredictionIdSigner(keys).sign(CLAIMS)
    data = bytearray(base64.urlsafe_b64decode(ours + "=" * (-len(ours) % 4)))
    data[10] ^= 1
    ids = {
        "empty": "",
        "cut": ours[:-4],
        "flipped": base64.urlsafe_b64encode(data).rstrip(b"=").decode(),
        "longer": ours + "AAAA",
        "words": "not an id\0",
        "huge": ours * 1000,
        "foreign": PredictionIdSigner({0: secrets.token_bytes(32)}).sign(CLAIMS),
    }
    assert words(refusal(lambda: get(front, ids[change]))) == INVALID
    verdict = SubmitFeedbackRequest(prediction_id=ids[change], correct=True)
    assert words(refusal(lambda: front.feedback.SubmitFeedback(verdict, timeout=10))) == INVALID


def test_a_valid_id_without_a_row_is_not_found(front: Front, workspace: Workspace) -> None:
    """A signed id of a prediction that was not stored is NOT_FOUND."""
    signer = PredictionIdSigner(load_keys(workspace.folder / "var"))
    refused = refusal(lambda: get(front, signer.sign(CLAIMS)))
    assert words(refused) == ("NOT_FOUND", "PREDICTION_NOT_FOUND", "")
