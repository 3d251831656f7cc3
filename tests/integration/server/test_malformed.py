"""Malformed messages, on every method of every service."""

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from tests.integration.server.front import BOTH_TRANSPORTS, Front
from tests.integration.server.refusal import refusal, words
from tidemill.v1 import (
    dataset_service_pb2,
    feedback_service_pb2,
    job_service_pb2,
    labeling_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    prediction_service_pb2,
)
from tidemill.v1 import prediction_service_pb2 as pb

pytestmark = BOTH_TRANSPORTS
MODULES = (
    prediction_service_pb2,
    feedback_service_pb2,
    job_service_pb2,
    labeling_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    dataset_service_pb2,
)
METHODS: list[MethodDescriptor] = [
    method
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
WITH_TEXT = [
    method
    for method in METHODS
    if any(field.type == FieldDescriptor.TYPE_STRING for field in method.input_type.fields)
]
MALFORMED = ("INVALID_ARGUMENT", "MALFORMED_MESSAGE", "message")


def text_field(method: MethodDescriptor, content: bytes) -> bytes:
    """Return a message whose first text field has these bytes, UTF-8 or not."""
    fields = method.input_type.fields
    number = next(field.number for field in fields if field.type == FieldDescriptor.TYPE_STRING)
    return bytes((number << 3 | 2, len(content))) + content


def call(front: Front, method: MethodDescriptor, *messages: bytes) -> Iterator[bytes]:
    """Send raw messages and yield raw answers."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    channel: Any = front.channel
    if method.client_streaming and method.server_streaming:
        yield from channel.stream_stream(path)(iter(messages), timeout=5)
    elif method.client_streaming:
        yield channel.stream_unary(path)(iter(messages), timeout=5)
    elif method.server_streaming:
        yield from channel.unary_stream(path)(messages[0], timeout=5)
    else:
        yield channel.unary_unary(path)(messages[0], timeout=5)


@pytest.mark.parametrize("method", WITH_TEXT, ids=lambda method: method.full_name[12:])
@pytest.mark.parametrize("content", [b"\xff\xfe", b"\xed\xa0\x80"], ids=["latin", "surrogate"])
def test_text_that_is_not_utf8_is_refused(
    front: Front, method: MethodDescriptor, content: bytes
) -> None:
    """Invalid UTF-8 and lone surrogates are MALFORMED_MESSAGE."""
    message = text_field(method, content)
    assert words(refusal(lambda: list(call(front, method, message)))) == MALFORMED


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name[12:])
def test_an_incomplete_message_is_refused(front: Front, method: MethodDescriptor) -> None:
    """An incomplete message is MALFORMED_MESSAGE."""
    assert words(refusal(lambda: list(call(front, method, b"\x0a\x05x")))) == MALFORMED


def test_a_batch_with_one_undecodable_text_is_refused(front: Front) -> None:
    """The whole message is refused, because its texts cannot be separated."""
    method = next(m for m in METHODS if m.name == "BatchPredict")
    good = pb.BatchPredictRequest(task="support", texts=["card"]).SerializeToString()
    assert words(refusal(lambda: list(call(front, method, good + b"\x12\x01\xff")))) == MALFORMED


def test_a_stream_ends_at_an_undecodable_message(front: Front) -> None:
    """Earlier messages are answered; then the stream ends as MALFORMED_MESSAGE."""
    method = next(m for m in METHODS if m.name == "StreamPredict")
    good = pb.StreamPredictRequest(id="a", task="support", text="card").SerializeToString()
    stream = call(front, method, good, b"\x12\x01\xff", good)
    assert pb.StreamPredictResponse.FromString(next(stream)).prediction.label
    assert words(refusal(lambda: next(stream))) == MALFORMED


def test_health_is_held_to_the_same_rule(front: Front) -> None:
    """The health service refuses undecodable messages, too."""
    check: Any = front.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert words(refusal(lambda: check(b"\x0a\x01\xff", timeout=5))) == MALFORMED
