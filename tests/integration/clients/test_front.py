"""Both Python clients, and the example, against the real front."""

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.clients.calls import BOTH, Asyncio, Threads
from tests.integration.server.front import BOTH_TRANSPORTS, Front
from tidemill.v1.model_service_pb2 import GetModelVersionRequest
from tidemill.v1.prediction_service_pb2 import StreamPredictRequest
from tidemill_client import (
    AsyncTidemillClient,
    InvalidRequest,
    NotFound,
    Prediction,
    TidemillClient,
    Unauthenticated,
    translated_errors,
)

pytestmark = BOTH_TRANSPORTS
Client = Threads | Asyncio
EXAMPLE = Path(__file__).parents[3] / "examples" / "grpc" / "predict.py"
BOTH_CLIENTS = pytest.mark.parametrize("client", BOTH, ids=repr)


@BOTH_CLIENTS
def test_a_prediction_is_a_frozen_value(client: Client, front: Front) -> None:
    """A prediction has label, confidence and scores, best first, and cannot be changed."""
    found = client.call("predict", front.address, "support", "my lost card", top_k=2)
    assert isinstance(found, Prediction)
    assert [found.label, found.confidence] == [found.scores[0].label, found.scores[0].score]
    assert len(found.scores) == 2
    assert found.model_version == 1
    with pytest.raises(AttributeError):
        found.label = "another"
    assert hash(found) == hash(found)


@BOTH_CLIENTS
def test_a_batch_has_an_error_in_the_place_of_a_bad_text(client: Client, front: Front) -> None:
    """The good texts are answered, in order."""
    good, bad = client.call("predict_batch", front.address, "support", ["lost card", " "])
    assert isinstance(good, Prediction)
    assert isinstance(bad, InvalidRequest)
    assert (bad.reason, bad.field) == ("BLANK_TEXT", "texts[1]")


@BOTH_CLIENTS
def test_many_texts_get_the_labels_that_single_calls_give(client: Client, front: Front) -> None:
    """`predict_many` calls the same model and keeps the order."""
    words = ["refund", "card", "lost", "password", "money"]
    texts = [f"my {words[number % 5]}" for number in range(500)]
    with TidemillClient(front.address) as connection:
        alone = {text: connection.predict("support", text).label for text in texts[:5]}
    results = client.many(front.address, texts, task="support")
    found = [one.label if isinstance(one, Prediction) else one.reason for one in results]
    assert found == [alone[text] for text in texts]


@BOTH_CLIENTS
def test_a_verdict_is_stored_and_can_be_repeated(client: Client, front: Front) -> None:
    """The same request id gets the first answer again."""
    made = client.call("predict", front.address, "support", "money")
    options = {
        "label": "card",
        "source": "test",
        "request_id": f"verdict of {client!r} on {front.address}",
    }
    first = client.call("submit_feedback", front.address, made.prediction_id, **options)
    again = client.call("submit_feedback", front.address, made.prediction_id, **options)
    assert first == again
    assert (first.label, first.correct, first.task) == ("card", None, "support")
    assert abs(first.create_time - datetime.now(UTC)) < timedelta(minutes=5)


@BOTH_CLIENTS
def test_errors_have_their_class_reason_and_request_id(client: Client, front: Front) -> None:
    """The error has the field that breaks a rule, and the id of the request."""
    with pytest.raises(InvalidRequest) as caught:
        client.call("predict", front.address, "support", "x" * 501, request_id="r-1")
    error = caught.value
    assert (error.code.name, error.field, error.request_id) == ("INVALID_ARGUMENT", "text", "r-1")
    assert "500" in error.rule
    with pytest.raises(Unauthenticated):
        client.call("predict", front.address, "support", "a", client={"api_key": "tm_no.key"})


def test_stubs_are_translated_too(front: Front) -> None:
    """Inside `translated_errors`, a call of a stub raises a typed error."""
    request = GetModelVersionRequest(task="support", model_version=99)
    with TidemillClient(front.address) as client, pytest.raises(NotFound), translated_errors():
        client.models.GetModelVersion(request, timeout=10)


def test_a_stream_of_requests_keeps_their_ids(front: Front) -> None:
    """`predict_stream` answers in order, for any task of a request."""
    requests = [
        StreamPredictRequest(id="a", task="support", text="card"),
        StreamPredictRequest(id="b", task="none", text="card"),
    ]
    with TidemillClient(front.address) as client:
        found = dict(client.predict_stream(requests))
    assert isinstance(found["a"], Prediction)
    assert isinstance(found["b"], InvalidRequest)


async def test_an_asynchronous_stream_of_requests_keeps_their_ids(front: Front) -> None:
    """The client for asyncio does the same."""

    async def requests() -> AsyncIterator[StreamPredictRequest]:
        yield StreamPredictRequest(id="a", task="support", text="card")

    async with AsyncTidemillClient(front.address) as client:
        [(name, result)] = [each async for each in client.predict_stream(requests())]
    assert name == "a"
    assert isinstance(result, Prediction)


def test_the_example_runs(front: Front) -> None:
    """The example predicts once, streams three texts, and prints the rule that one breaks."""
    command = [sys.executable, EXAMPLE, front.address]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        *("unary", "stream 0", "stream 1", "stream 2", "error", "  text")
    ]
    assert "stream 2: error" in said
    assert "error: BLANK_TEXT" in said
