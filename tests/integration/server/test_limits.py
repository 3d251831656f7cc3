"""Limits on the size of messages and metadata."""

from functools import partial

import pytest

from tests.integration.server.front import Front
from tests.integration.server.refusal import refusal
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.app import MAX_MESSAGE_BYTES, MAX_METADATA_BYTES

REQUEST = pb.PredictRequest(task="support", text="lost my card")
ROOM = 1024
"""For what gRPC itself sends along."""


def test_metadata_has_a_limit(front: Front) -> None:
    """Calls with more metadata are refused by gRPC, and the connection stays usable."""
    ask = front.predictions.Predict
    fitting = (("x-note", "n" * (MAX_METADATA_BYTES - ROOM)),)
    assert ask(REQUEST, timeout=10, metadata=fitting).prediction.label
    for size in (MAX_METADATA_BYTES, 20 * MAX_METADATA_BYTES):
        refused = refusal(partial(ask, REQUEST, timeout=10, metadata=(("x-note", "n" * size),)))
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "")
        assert "metadata size exceeds" in refused.message
    assert ask(REQUEST, timeout=10).prediction.label


@pytest.mark.parametrize("streamed", [False, True])
def test_messages_have_a_limit(front: Front, streamed: bool) -> None:
    """Below it the error names the text's own limit; beyond it gRPC refuses the call."""

    def ask(size: int) -> str:
        text = "a" * size
        if not streamed:
            request = pb.PredictRequest(task="support", text=text)
            return front.predictions.Predict(request, timeout=20).prediction.label
        item = pb.StreamPredictRequest(id="a", task="support", text=text)
        (answer,) = front.predictions.StreamPredict(iter([item]), timeout=20)
        return answer.error.message

    fitting = MAX_MESSAGE_BYTES - ROOM
    said = ask(fitting) if streamed else refusal(partial(ask, fitting)).message
    assert said.startswith(f"text: has {fitting} characters")
    refused = refusal(partial(ask, MAX_MESSAGE_BYTES))
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "")
    assert "message larger than max" in refused.message
    assert front.predictions.Predict(REQUEST, timeout=10).prediction.label
