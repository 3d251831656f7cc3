"""Answers as bytes, against protobuf's own."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.errors import InvalidArgument, ModelOutputInvalid
from tidemill_server import convert, wire
from tidemill_server.inference.work import Answer
from tidemill_server.rpc.status import to_status

numbers = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.0])
strings = st.text(max_size=300)  # beyond 127 bytes, where a length takes a second byte
predictions = st.builds(
    Prediction,
    prediction_id=strings,
    task=st.just("support"),
    model_version=st.integers(0, 2**31 - 1),
    text=st.just("a text"),
    label=st.text(min_size=1, max_size=300),
    confidence=numbers,
    scores=st.lists(st.builds(Score, strings, numbers), max_size=20).map(tuple),
    abstained=st.booleans(),
    method=st.just("Predict"),
    request_id=st.just(""),
    routing_key=st.just(""),
    attributes=st.just({}),
    propensity=st.just(1.0),
    latency_ms=st.just(1.0),
    predict_time=st.just(datetime(2026, 1, 2, tzinfo=UTC)),
)
errors = st.builds(InvalidArgument, strings, strings, strings) | st.builds(
    ModelOutputInvalid, strings, st.integers(0, 9), strings
)
rewards = st.builds(
    lambda answer, version, reward: answer._replace(
        label="", model_version=version, scores=(Score("", reward),), abstained=False
    ),
    predictions,
    st.integers(1, 2**31 - 1),
    numbers,
)
answers: st.SearchStrategy[Answer] = predictions | rewards | errors


def field_of(answer: Answer) -> dict[str, Any]:
    """Return the field of a message that holds an answer."""
    if isinstance(answer, Prediction):
        return {"prediction": convert.prediction(answer)}
    return {"error": to_status(answer)}


@given(predictions | rewards)
def test_a_unary_answer_is_protobufs(prediction: Prediction) -> None:
    """The bytes are those that protobuf writes."""
    expected = pb.PredictResponse(prediction=convert.prediction(prediction))
    assert wire.predict_response(prediction) == expected.SerializeToString()


@given(st.lists(answers, max_size=5))
def test_a_batch_is_protobufs(given: list[Answer]) -> None:
    """Predictions and errors keep their places, and the bytes are those that protobuf writes."""
    results = [pb.BatchPredictResult(**field_of(each)) for each in given]
    expected = pb.BatchPredictResponse(results=results).SerializeToString()
    assert wire.batch_response(given) == expected


@given(strings, answers)
def test_an_answer_on_a_stream_is_protobufs(request_id: str, given: Answer) -> None:
    """The request's id comes with the answer, and the bytes are those that protobuf writes."""
    expected = pb.StreamPredictResponse(id=request_id, **field_of(given))
    assert wire.stream_response(request_id, given) == expected.SerializeToString()
