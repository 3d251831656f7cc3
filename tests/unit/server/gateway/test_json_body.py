"""JSON bodies."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.v1.access_service_pb2 import CreateApiKeyRequest
from tidemill.v1.feedback_service_pb2 import SubmitFeedbackRequest
from tidemill.v1.monitoring_service_pb2 import SilenceAlertsRequest
from tidemill.v1.prediction_service_pb2 import PredictRequest
from tidemill_core.errors import InvalidArgument
from tidemill_server.gateway.json_body import InvalidField, encoded, parsed
from tidemill_server.gateway.models import request_model
from tidemill_server.rpc.decoding import MalformedMessage

PredictBody = request_model(PredictRequest.DESCRIPTOR, ["task"])
FeedbackBody = request_model(SubmitFeedbackRequest.DESCRIPTOR)
SilenceBody = request_model(SilenceAlertsRequest.DESCRIPTOR)


def test_the_fields_that_a_body_sets() -> None:
    """They make the message that a caller of gRPC sends; others keep their defaults."""
    body = '{"text": "caf\\u00e9 \\ud83d\\ude00 ü", "top_k": 3, "attributes": {"a": "b"}}'
    fields = parsed(body.encode(), PredictBody)
    assert fields == {"text": "café 😀 ü", "top_k": 3, "attributes": {"a": "b"}}
    message = PredictRequest.FromString(encoded(PredictRequest, {"task": "support", **fields}))
    assert (message.task, message.text, message.top_k) == ("support", "café 😀 ü", 3)
    assert message.attributes == {"a": "b"}


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b" ", b"{", b"nothing", b"[]", b'"text"', b"1", b"null", b"{} {}", b"{'a': 1}"),
        *(b'{"text": "\xff"}', b"\xff\xfe{\x00}\x00", b'\xef\xbb\xbf{"text": "a"}'),
        *(b'{"text": "\\ud800"}', b'{"text": "\\udc00\\ud800"}', b'{"\\ud800": 1}'),
        *(b'{"text": "a", "text": "b"}', b'{"text": "a", "attributes": {"x": "1", "x": "2"}}'),
        *(b'{"top_k": NaN}', b'{"top_k": Infinity}', b'{"top_k": -Infinity}', b'{"a": "\x01"}'),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"top_k": 1' + b"0" * 5000 + b"}"),
    ],
)
def test_what_is_not_json_or_could_be_read_in_two_ways(content: bytes) -> None:
    """It is MALFORMED_MESSAGE, whatever the parser says about it."""
    with pytest.raises(MalformedMessage) as refused:
        parsed(content, PredictBody)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"text": None}, "text", "must be a valid string"),
        ({"text": 1}, "text", "must be a valid string"),
        ({"text": ["a"]}, "text", "must be a valid string"),
        ({"text": "a", "top_k": "1"}, "top_k", "must be a valid integer"),
        ({"text": "a", "top_k": 1.5}, "top_k", "must be a valid integer"),
        ({"text": "a", "top_k": True}, "top_k", "must be a valid integer"),
        ({"text": "a", "top_k": 2**31}, "top_k", "must be less than 2147483648"),
        ({"text": "a", "top_k": -(2**40)}, "top_k", "must be greater than"),
        ({"text": "a", "attributes": []}, "attributes", "must be a valid dictionary"),
        ({"text": "a", "attributes": {"x": 1}}, "attributes.x", "must be a valid string"),
        ({"text": "a", "Text": "b"}, "Text", "is not a field; there are: text, top_k"),
        ({"text": "a", "task": "other"}, "task", "is not a field"),
        ({"text": "a", "x" * 5000: 1}, "x" * 100, "is not a field"),
    ],
)
def test_a_field_that_is_wrong(fields: dict[str, object], field: str, rule: str) -> None:
    """It is INVALID_FIELD with the field and the rule; nothing is converted silently."""
    with pytest.raises(InvalidField) as refused:
        parsed(json.dumps(fields).encode(), PredictBody)
    assert (refused.value.reason, refused.value.field) == ("INVALID_FIELD", field)
    assert refused.value.description.startswith(rule)


def test_feedback_has_one_verdict() -> None:
    """Both are refused; which one is missing is the service's own rule."""
    assert parsed(b'{"prediction_id": "a", "correct": false}', FeedbackBody)["correct"] is False
    with pytest.raises(InvalidField, match="only one of correct, label"):
        parsed(b'{"prediction_id": "a", "correct": true, "label": "b"}', FeedbackBody)


@pytest.mark.parametrize("content", [b"[],", b"{},", b"1000,", b'"",'])
def test_a_body_of_many_small_values(content: bytes) -> None:
    """It is refused before it is read, because it would take many times its size in memory."""
    with pytest.raises(MalformedMessage, match="too many values"):
        parsed(b'{"texts": [' + content * 300_000 + b"1]}", PredictBody)


def test_a_large_body_is_read() -> None:
    """What is in its strings does not count as values."""
    text = '[{"a": 1}, \\" ' * 100_000
    assert parsed(json.dumps({"text": text}).encode(), PredictBody) == {"text": text}


def test_a_number_that_is_too_large() -> None:
    """JSON allows 1e400, but no double can hold it: it is refused rather than infinite."""
    body = request_model(CreateApiKeyRequest.DESCRIPTOR)
    assert parsed(b'{"requests_per_second": 1e300}', body)["requests_per_second"] == 1e300
    with pytest.raises(InvalidField, match="must be a finite number"):
        parsed(b'{"requests_per_second": 1e400}', body)


def test_times() -> None:
    """RFC 3339, with any offset; a number or a day that does not exist is refused."""
    fields = parsed(b'{"end_time": "2026-02-01T10:30:00+01:00"}', SilenceBody)
    message = SilenceAlertsRequest.FromString(encoded(SilenceAlertsRequest, fields))
    assert message.end_time.ToJsonString() == "2026-02-01T09:30:00Z"
    for wrong in ('"soon"', "1", "null", '"2026-02-30T10:00:00Z"', '"9999999-01-01T00:00:00Z"'):
        with pytest.raises(InvalidField, match="end_time"):
            parsed(f'{{"end_time": {wrong}}}'.encode(), SilenceBody)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("text"), inner),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused_in_an_orderly_way(content: bytes) -> None:
    """What is read makes a message; everything else is an InvalidArgument that can be sent."""
    try:
        fields = parsed(content, PredictBody)
    except InvalidArgument as error:
        str(error).encode()
        return
    assert PredictRequest.FromString(encoded(PredictRequest, fields)).text == fields.get("text", "")
