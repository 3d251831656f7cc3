"""StreamPredict: pipelined, in order, bounded, and ended by either side."""

import threading
from collections.abc import Iterator

import grpc
import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, Front
from tests.integration.server.models import WORDS
from tests.integration.server.refusal import read, refusal, words
from tests.integration.server.triton_load import rows, wait_quiet
from tests.plugins.triton import RunningTriton
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1 import prediction_service_pb2_grpc

pytestmark = BOTH_TRANSPORTS
TEXT = "lost my card"
COUNTS = {"h2corn": 16_000, "grpcio": 2000}
"""How many answers, with long ids, are more than twice what a server holds for a connection."""


def request(
    number: int, text: str = TEXT, task: str = "support", id_length: int = 0
) -> pb.StreamPredictRequest:
    """Return one message, whose id is padded to a length."""
    return pb.StreamPredictRequest(id=f"n{number}".ljust(id_length, "."), task=task, text=text)


def test_answers_come_in_the_order_of_the_requests(front: Front) -> None:
    """Each answer has its request's id, in order, and is the same as Predict's."""
    texts = [WORDS[i % 9] for i in range(500)]
    stream = front.predictions.StreamPredict(map(request, range(500), texts), timeout=20)
    answers = list(stream)
    assert [answer.id for answer in answers] == [f"n{i}" for i in range(500)]
    alone = {
        word: front.predictions.Predict(pb.PredictRequest(task="support", text=word)).prediction
        for word in WORDS[:9]
    }
    for text, answer in zip(texts, answers, strict=True):
        assert answer.prediction.label == alone[text].label
        assert answer.prediction.confidence == pytest.approx(alone[text].confidence, abs=1e-5)


def test_bad_items_are_answered_and_the_stream_goes_on(front: Front) -> None:
    """Every kind of bad item gets an error in its own response; later ones are answered."""
    requests = [
        request(0),
        request(1, text=""),
        request(2, task="unheard_of"),
        request(3, task="untrained"),
        request(4, text="x" * 2**20),
        request(5, text="poison"),
        pb.StreamPredictRequest(id="n6", task="support", text=TEXT, top_k=-1),
        pb.StreamPredictRequest(id="n7" + "x" * 200, task="support", text=TEXT),
        request(8),
    ]
    answers = list(front.predictions.StreamPredict(iter(requests), timeout=10))
    assert [answer.id for answer in answers] == [item.id for item in requests]
    assert [words(read(answer.error)) for answer in answers[1:8]] == [
        ("INVALID_ARGUMENT", "BLANK_TEXT", "text"),
        ("INVALID_ARGUMENT", "UNKNOWN_TASK", "task"),
        ("FAILED_PRECONDITION", "NO_CHAMPION", ""),
        ("INVALID_ARGUMENT", "TEXT_TOO_LONG", "text"),
        ("INTERNAL", "MODEL_OUTPUT_INVALID", ""),
        ("INVALID_ARGUMENT", "INVALID_TOP_K", "top_k"),
        ("INVALID_ARGUMENT", "VALUE_TOO_LONG", "id"),
    ]
    assert answers[0].prediction.label == answers[8].prediction.label != ""


def test_a_thousand_requests_may_be_written_before_an_answer_is_read(front: Front) -> None:
    """Writing 1,000 requests before reading does not deadlock."""
    written = threading.Event()

    def requests() -> Iterator[pb.StreamPredictRequest]:
        yield from map(request, range(1000))
        written.set()

    stream = front.predictions.StreamPredict(requests(), timeout=60)
    assert written.wait(60)
    assert [answer.id for answer in stream] == [f"n{i}" for i in range(1000)]


def test_a_caller_that_does_not_read_is_held_back(
    front: Front, triton: RunningTriton, transport: str
) -> None:
    """Without a reader the server soon stops; when it reads, all are answered."""
    count = COUNTS[transport]
    texts = (request(n, id_length=200) for n in range(count))
    fixed_window = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(front.address, fixed_window) as channel:
        slow = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        before = rows(triton)
        stream = slow.StreamPredict(texts, timeout=300)
        assert next(stream).prediction.label
        wait_quiet(triton)
        answered = rows(triton) - before
        assert answered < count / 2
        quick = pb.PredictRequest(task="support", text=TEXT)
        assert front.predictions.Predict(quick, timeout=60).prediction.label
        assert sum(1 for answer in stream if answer.prediction.label) == count - 1


def test_a_request_is_answered_while_the_stream_is_open(front: Front) -> None:
    """An answer does not wait for more requests, and half-closing ends the stream with OK."""
    more, done = threading.Semaphore(0), threading.Event()

    def requests() -> Iterator[pb.StreamPredictRequest]:
        number = 0
        while more.acquire(timeout=10) and not done.is_set():
            yield request(number)
            number += 1

    stream = front.predictions.StreamPredict(requests(), timeout=60)
    for number in range(3):
        more.release()
        assert next(stream).id == f"n{number}"
    done.set()
    more.release()
    assert list(stream) == []
    assert stream.code() is grpc.StatusCode.OK


def test_a_cancelled_stream_leaves_no_work_behind(front: Front, triton: RunningTriton) -> None:
    """After a caller cancels, the server calls Triton no more, and answers others."""
    endless = (request(number) for number in iter(int, 1))
    stream = front.predictions.StreamPredict(endless)
    for _ in range(300):
        next(stream)
    stream.cancel()
    wait_quiet(triton)
    assert refusal(lambda: next(stream)).code == "CANCELLED"
    assert "unexpected_error" not in front.log()
    assert "never retrieved" not in front.log()
    assert front.predictions.Predict(pb.PredictRequest(task="support", text=TEXT)).prediction.label
