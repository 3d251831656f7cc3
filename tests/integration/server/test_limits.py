"""Limits on the size of messages and metadata."""

from functools import partial

import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, Front
from tests.integration.server.refusal import refusal
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.rpc.methods import MAX_MESSAGE_BYTES, USUAL_MESSAGE_BYTES
from tidemill_server.transports.transport import MAX_METADATA_BYTES

pytestmark = BOTH_TRANSPORTS
REQUEST = pb.PredictRequest(task="support", text="lost my card")
ROOM = 1024
"""For what gRPC itself sends along."""


def test_metadata_has_a_limit(front: Front) -> None:
    """Calls with more metadata are refused, and the connection stays usable."""
    ask = front.predictions.Predict
    fitting = (("x-note", "n" * (MAX_METADATA_BYTES - ROOM)),)
    assert ask(REQUEST, timeout=10, metadata=fitting).prediction.label
    for size in (MAX_METADATA_BYTES, 20 * MAX_METADATA_BYTES):
        refused = refusal(partial(ask, REQUEST, timeout=10, metadata=(("x-note", "n" * size),)))
        is_https = refused.message == "Received http2 header with status: 431"
        assert refused.code == ("UNKNOWN" if is_https else "RESOURCE_EXHAUSTED")
        assert "metadata" in refused.message or is_https
    assert ask(REQUEST, timeout=10).prediction.label


@pytest.mark.parametrize(
    ("method", "limit"),
    [
        ("Predict", USUAL_MESSAGE_BYTES),
        ("StreamPredict", USUAL_MESSAGE_BYTES),
        ("BatchPredict", MAX_MESSAGE_BYTES),
    ],
)
def test_messages_have_a_limit(front: Front, method: str, limit: int) -> None:
    """Below its method's limit a message is judged by its fields; beyond it, it is refused."""

    def ask(size: int) -> str:
        text = "a" * size
        if method == "Predict":
            request = pb.PredictRequest(task="support", text=text)
            return front.predictions.Predict(request, timeout=20).prediction.label
        if method == "BatchPredict":
            batch = pb.BatchPredictRequest(task="support", texts=[text])
            (result,) = front.predictions.BatchPredict(batch, timeout=20).results
            return result.error.message
        item = pb.StreamPredictRequest(id="a", task="support", text=text)
        (answer,) = front.predictions.StreamPredict(iter([item]), timeout=20)
        return answer.error.message

    fitting = limit - ROOM
    said = refusal(lambda: ask(fitting)).message if method == "Predict" else ask(fitting)
    assert f"has {fitting} characters" in said
    refused = refusal(lambda: ask(limit))
    assert refused.code == "RESOURCE_EXHAUSTED"
    assert "larger than max" in refused.message
    assert front.predictions.Predict(REQUEST, timeout=10).prediction.label
