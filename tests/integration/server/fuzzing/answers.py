"""Checks of answers: each is the caller's own, and never INTERNAL or UNKNOWN."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2
from tritonclient.grpc import service_pb2 as inference_pb2

from tests.integration.server.fuzzing.calls import Case, Outcome
from tests.integration.server.models import LABELS, LENGTH, WORDS, TinyModel, tokenizer_json
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.text import PADDING_TOKEN, UNKNOWN_TOKEN, TextEncoder

_NEVER = ("INTERNAL", "UNKNOWN")
_NEVER_NUMBERS = (code_pb2.INTERNAL, code_pb2.UNKNOWN)
_TOLERANCE = 1e-4
_VOCABULARY = (PADDING_TOKEN, UNKNOWN_TOKEN, *WORDS)
_ENCODER = TextEncoder(tokenizer_json(), LENGTH)


class WrongAnswer(Exception):
    """An answer that its caller must not get."""


def check(case: Case, outcome: Outcome) -> int:
    """Check the outcome of a call.

    Returns:
        How many answers were compared with what the model gives offline.

    Raises:
        WrongAnswer: it says what is wrong.
    """
    if outcome.code in _NEVER:
        raise WrongAnswer(f"{outcome.code}: {outcome.words}")
    if not outcome.code or (
        outcome.code == "DEADLINE_EXCEEDED" and case.habit.waits and not case.is_endless
    ):
        raise WrongAnswer(f"a hang of {outcome.seconds:.1f} s")
    requests = list(_decoded(case))
    if outcome.code == "OK" and case.habit.waits:
        if len(requests) < len(case.sent) and case.habit.name != "SILENT":
            raise WrongAnswer("OK to what cannot be decoded")
        if not case.method.server_streaming and len(outcome.answers) != 1:
            raise WrongAnswer(f"{len(outcome.answers)} answers")
    answer_type = GetMessageClass(case.method.output_type)
    answers = [answer_type.FromString(each) for each in outcome.answers]
    return _compared(case.method.name, requests, answers)


def _decoded(case: Case) -> Iterator[Any]:
    """Return the requests before the first that cannot be decoded."""
    request_type = GetMessageClass(case.method.input_type)
    for message in case.sent:
        try:
            yield request_type.FromString(message)
        except DecodeError:
            return


def _compared(method: str, requests: Sequence[Any], answers: Sequence[Any]) -> int:
    if len(answers) > len(requests) and method in ("StreamPredict", "ModelStreamInfer"):
        raise WrongAnswer(f"{len(answers)} answers to {len(requests)} requests")
    pairs = list(zip(requests, answers, strict=False))
    if method == "Predict":
        return sum(_prediction(request.text, answer.prediction) for request, answer in pairs)
    if method == "BatchPredict":
        return sum(_batch(request, answer) for request, answer in pairs)
    if method == "StreamPredict":
        return sum(_item(request, answer) for request, answer in pairs)
    if method == "ModelInfer":
        return sum(_inferred(request, answer) for request, answer in pairs)
    if method == "ModelStreamInfer":
        return sum(_inferred(request, answer.infer_response) for request, answer in pairs)
    return 0


def _batch(request: pb.BatchPredictRequest, answer: pb.BatchPredictResponse) -> int:
    if len(request.texts) != len(answer.results):
        raise WrongAnswer(f"{len(answer.results)} results to {len(request.texts)} texts")
    return sum(map(_result, request.texts, answer.results))


def _item(request: pb.StreamPredictRequest, answer: pb.StreamPredictResponse) -> int:
    if request.id != answer.id:
        raise WrongAnswer(f"the answer to {answer.id!r} came to {request.id!r}")
    return _result(request.text, answer)


def _result(text: str, answer: pb.BatchPredictResult | pb.StreamPredictResponse) -> int:
    if not answer.HasField("error"):
        return _prediction(text, answer.prediction)
    if answer.error.code in _NEVER_NUMBERS:
        raise WrongAnswer(f"{code_pb2.Code.Name(answer.error.code)} in an item")
    return 0


def _prediction(text: str, prediction: pb.Prediction) -> int:
    expected = _offline(prediction.model_version, text)
    for score in prediction.scores:
        if abs(expected[LABELS.index(score.label)] - score.score) > _TOLERANCE:
            raise WrongAnswer(f"another text's answer came to {text!r}: {score}")
    if prediction.label != prediction.scores[0].label:
        raise WrongAnswer(f"label {prediction.label!r} is not the best")
    return 1


def _inferred(
    request: inference_pb2.ModelInferRequest, answer: inference_pb2.ModelInferResponse
) -> int:
    """Compare an inference if its ids are those of a known text."""
    if request.id[:200] != answer.id:
        raise WrongAnswer(f"the answer to {answer.id!r} came to {request.id!r}")
    if not answer.outputs or len(request.raw_input_contents) != 1:
        return 0
    ids = np.frombuffer(request.raw_input_contents[0], "<i4").reshape(-1, LENGTH)
    found = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(-1, len(LABELS))
    texts = [" ".join(_VOCABULARY[i] for i in row if i) for row in ids.clip(0, len(WORDS) + 1)]
    if not np.array_equal(_ENCODER.encode(texts), ids):
        return 0
    expected = np.array([_offline(int(answer.model_version), text) for text in texts])
    if not np.allclose(found, expected, atol=_TOLERANCE):
        raise WrongAnswer(f"another caller's answer came to {request.id!r}")
    return len(texts)


@cache
def _offline(version: int, text: str) -> tuple[float, ...]:
    return tuple(TinyModel(version).offline([text])[0].tolist())
