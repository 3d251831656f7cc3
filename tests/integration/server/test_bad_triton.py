"""The front over a Triton that is slow, ends, or answers garbage."""

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.integration.server.front import Front, Workspace
from tests.integration.server.models import LABELS, LENGTH, WORDS, tokenizer_json
from tests.integration.server.refusal import read, refusal, words
from tests.integration.server.test_overload import metric
from tests.plugins.fake_triton import (
    Behavior,
    Context,
    FakeTriton,
    Ids,
    fails,
    filled_with,
    healthy,
    label_of,
    no_contents,
    odd_size,
    slow,
    too_few_rows,
    undecodable,
    wrong_width,
)
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.text import TextEncoder

MODEL = "support-onnx"
ENCODER = TextEncoder(tokenizer_json(), LENGTH)
TEXTS = [f"{first} {second}" for first in WORDS[:8] for second in WORDS[:8]]
INVALID = ("INTERNAL", "MODEL_OUTPUT_INVALID", "")
AWAY = ("UNAVAILABLE", "TRITON_UNAVAILABLE", "")
CANCELLED = fails(grpc.StatusCode.CANCELLED, "CANCELLED")
GARBAGE = {
    "undecodable": undecodable,
    "no contents": no_contents,
    "odd size": odd_size,
    "wrong width": wrong_width,
    "too few rows": too_few_rows,
    "NaN": filled_with(np.nan),
    "above 1": filled_with(1.5),
    "below 0": filled_with(-0.5),
}
BAD_DAYS = [
    *(pytest.param(each, INVALID, id=name) for name, each in GARBAGE.items()),
    pytest.param(CANCELLED, AWAY, id="cancelled"),
]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTriton]:
    """Yield a Triton whose behavior each test sets."""
    with FakeTriton() as running:
        yield running


@pytest.fixture(scope="module")
def victim(fake: FakeTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Yield a front over it, with one task to break and one that stays whole."""
    workspace = Workspace(tmp_path_factory.mktemp("bad"), {"support": 1, "other": 1})
    with Front(workspace, fake.address) as running:
        yield running


@pytest.fixture(autouse=True)
def recovered(fake: FakeTriton, victim: Front) -> Iterator[None]:
    """Assert right answers before and after each test, without a restart."""
    fake.behave(MODEL, 1, healthy)
    wait_until(lambda: is_right(victim, "lost card"), "the front answers again")
    yield
    fake.behave(MODEL, 1, healthy)
    wait_until(lambda: is_right(victim, "lost card"), "the front answers again")


def expected(text: str) -> str:
    """Return a text's label."""
    return LABELS[label_of(ENCODER.encode([text])[0])]


def predict(front: Front, text: str, seconds: float = 10.0, task: str = "support") -> Any:
    """Start a call."""
    return front.predictions.Predict.future(
        pb.PredictRequest(task=task, text=text), timeout=seconds
    )


def is_right(front: Front, text: str) -> bool:
    """Return whether a text gets its label."""
    try:
        return bool(predict(front, text).result().prediction.label == expected(text))
    except grpc.RpcError:
        return False


class Stream:
    """A StreamPredict that sends one text after another."""

    def __init__(self, front: Front) -> None:
        self._sent: queue.SimpleQueue[pb.StreamPredictRequest | None] = queue.SimpleQueue()
        requests = iter(self._sent.get, None)
        self._answers = front.predictions.StreamPredict(requests, timeout=60)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._sent.put(None)
        assert list(self._answers) == []

    def ask(self, text: str) -> pb.StreamPredictResponse:
        """Return the answer to a text."""
        self._sent.put(pb.StreamPredictRequest(id=text, task="support", text=text))
        answer = next(self._answers)
        assert answer.id == text
        return answer


@pytest.mark.parametrize(("behavior", "refused"), BAD_DAYS)
def test_nobody_gets_garbage(
    fake: FakeTriton, victim: Front, behavior: Behavior, refused: tuple[str, str, str]
) -> None:
    """64 concurrent callers get a Tidemill error, never UNKNOWN, and later their own answers."""
    fake.behave(MODEL, 1, behavior)
    calls = [predict(victim, text) for text in TEXTS]
    assert {words(refusal(call.result)) for call in calls} == {refused}
    fake.behave(MODEL, 1, healthy)
    calls = [predict(victim, text) for text in TEXTS]
    assert [call.result().prediction.label for call in calls] == [expected(t) for t in TEXTS]


@pytest.mark.parametrize(("behavior", "refused"), BAD_DAYS)
def test_a_stream_outlives_garbage(
    fake: FakeTriton, victim: Front, behavior: Behavior, refused: tuple[str, str, str]
) -> None:
    """Items that meet a bad Triton get their own errors, and later ones their answers."""
    with Stream(victim) as stream:
        assert stream.ask("lost card").prediction.label == expected("lost card")
        fake.behave(MODEL, 1, behavior)
        assert words(read(stream.ask("my fee").error)) == refused
        fake.behave(MODEL, 1, healthy)
        for text in TEXTS[:8]:
            assert stream.ask(text).prediction.label == expected(text)


def test_a_broken_model_costs_few_calls(fake: FakeTriton, victim: Front) -> None:
    """A batch of 16 that the model cannot answer takes at most 31 calls."""
    fake.behave(MODEL, 1, no_contents)
    before = len(fake.calls)
    request = pb.BatchPredictRequest(task="support", texts=TEXTS[:16])
    results = victim.predictions.BatchPredict(request, timeout=20).results
    assert {words(read(result.error)) for result in results} == {INVALID}
    assert len(fake.calls) - before <= 31


def test_a_slow_triton_costs_each_caller_its_own_patience(fake: FakeTriton, victim: Front) -> None:
    """With calls of 8 s, hurried callers end in time; patient ones and other tasks get answers."""
    fake.behave(MODEL, 1, slow(8.0))
    begin = time.monotonic()
    patient = [predict(victim, text, seconds=60) for text in TEXTS[:16]]
    hurried = [predict(victim, text, seconds=0.5) for text in TEXTS]
    others = [predict(victim, text, seconds=60, task="other") for text in TEXTS]
    assert [call.result().prediction.label for call in others] == [expected(t) for t in TEXTS]
    assert time.monotonic() - begin < 7
    codes = {refusal(call.result).code for call in hurried}
    assert codes <= {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    assert time.monotonic() - begin < 7
    assert [call.result().prediction.label for call in patient] == [
        expected(text) for text in TEXTS[:16]
    ]


def test_a_slow_triton_that_is_known_refuses_the_hurried_at_once(
    fake: FakeTriton, victim: Front
) -> None:
    """After calls of 2 s, a deadline of 0.9 s is refused immediately, without a call."""
    fake.behave(MODEL, 1, slow(2.0))
    for _ in range(3):
        predict(victim, "lost card").result()
    asked = len(fake.calls)
    patient = predict(victim, "my fee")
    wait_until(lambda: len(fake.calls) == asked + 1, "Triton is asked")
    before = len(fake.calls)
    refused = refusal(predict(victim, "refund money", seconds=0.9).result)
    assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    assert 0.2 <= refused.retry_seconds <= 0.8
    assert len(fake.calls) == before
    assert patient.result().prediction.label == expected("my fee")


def infer_request(text: str) -> Any:
    """Return the same request for the Open Inference Protocol."""
    ids = ENCODER.encode([text])
    made = service_pb2.ModelInferRequest(model_name=MODEL, id=text)
    made.inputs.add(name="input_ids", datatype="INT32", shape=ids.shape)
    made.raw_input_contents.append(ids.tobytes())
    return made


def test_a_call_that_triton_has_begun_goes_on(fake: FakeTriton, victim: Front) -> None:
    """Triton is not told that a call is late or canceled: its cancellation is not safe."""
    begun, let_go = threading.Semaphore(0), threading.Event()
    goes_on: list[bool] = []

    def held(ids: Ids, context: Context) -> bytes:
        begun.release()
        let_go.wait(30)
        goes_on.append(context.is_active())
        return healthy(ids, context)

    fake.behave(MODEL, 1, held)
    infer = service_pb2_grpc.GRPCInferenceServiceStub(victim.channel).ModelInfer
    hurried = [infer.future(infer_request("my fee"), timeout=3) for _ in range(5)]
    canceled = [infer.future(infer_request("my fee")) for _ in range(5)]
    assert all(begun.acquire(timeout=30) for _ in range(10))
    for call in canceled:
        call.cancel()
    assert {refusal(call.result).code for call in hurried} == {"DEADLINE_EXCEEDED"}
    let_go.set()
    wait_until(lambda: len(goes_on) == 10, "Triton has ended the calls")
    assert all(goes_on)


def test_the_passthrough_tells_garbage_from_answers(fake: FakeTriton, victim: Front) -> None:
    """Garbage is UNAVAILABLE, or an `error_message` on a stream, which continues."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(victim.channel)
    sent: queue.SimpleQueue[Any] = queue.SimpleQueue()
    answers = stub.ModelStreamInfer(iter(sent.get, None), timeout=20)
    for behavior, message in ((healthy, ""), (undecodable, "Triton's answer"), (healthy, "")):
        fake.behave(MODEL, 1, behavior)
        sent.put(infer_request("my fee"))
        answer = next(answers)
        assert answer.error_message.startswith(message)
        assert bool(answer.error_message) == bool(message)
        assert bool(answer.infer_response.outputs) != bool(message)
    sent.put(None)
    fake.behave(MODEL, 1, undecodable)
    refused = refusal(lambda: stub.ModelInfer(infer_request("my fee"), timeout=5))
    assert words(refused) == ("UNAVAILABLE", "TRITON_UNREADABLE", "")


def test_the_passthrough_refuses_the_hurried_too(fake: FakeTriton, victim: Front) -> None:
    """A deadline shorter than Triton's calls is OVERLOADED immediately, and is counted."""
    asked, shed = metric(victim, "triton_seconds_count"), metric(victim, "shed_total")
    stub = service_pb2_grpc.GRPCInferenceServiceStub(victim.channel)
    fake.behave(MODEL, 1, slow(2.0))
    for _ in range(3):
        stub.ModelInfer(infer_request("my fee"), timeout=30)
    before = len(fake.calls)
    patient = stub.ModelInfer.future(infer_request("my fee"), timeout=30)
    wait_until(lambda: len(fake.calls) == before + 1, "Triton is asked")
    refused = refusal(lambda: stub.ModelInfer(infer_request("my fee"), timeout=0.9))
    assert words(refused) == ("RESOURCE_EXHAUSTED", "OVERLOADED", "")
    assert patient.result().outputs
    wait_until(
        lambda: metric(victim, "triton_seconds_count") == asked + 4,
        "four calls of Triton are counted",
    )
    wait_until(lambda: metric(victim, "shed_total") == shed + 1, "the refusal is counted")
