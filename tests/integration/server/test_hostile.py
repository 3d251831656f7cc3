"""Callers that break rules or take more than their share, on h2corn."""

import gzip
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.raw_http2 import RawCaller, frame
from tests.plugins.triton import RunningTriton
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.rpc.methods import USUAL_MESSAGE_BYTES

PREDICT = "/tidemill.v1.PredictionService/Predict"
BATCH = "/tidemill.v1.PredictionService/BatchPredict"
GOOD = pb.PredictRequest(task="support", text="lost my card")
BOMBS = 64


@pytest.fixture
def own_front(tmp_path: Path, triton: RunningTriton) -> Iterator[Front]:
    """Yield a front of its own, whose memory is measured."""
    with Front(Workspace(tmp_path, {"support": 1}), triton.grpc_address) as running:
        yield running


def one_text(size: int) -> bytes:
    """Return a batch of one text, compressed."""
    request = pb.BatchPredictRequest(task="support", texts=["a" * size])
    return gzip.compress(request.SerializeToString())


def throw(front: Front, path: str, bomb: bytes) -> tuple[float, list[dict[str, str]]]:
    """Send all bombs at once; return the slowest call of a neighbor, and the bombs' ends."""
    slowest = 0.0
    with RawCaller(front.address) as caller:
        for _ in range(BOMBS):
            caller.call(path, bomb, [("grpc-encoding", "gzip")])
        for _ in range(5):
            begin = time.monotonic()
            assert front.predictions.Predict(GOOD, timeout=10).prediction.label
            slowest = max(slowest, time.monotonic() - begin)
        return slowest, caller.ends(BOMBS)


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        (BATCH, USUAL_MESSAGE_BYTES, "0"),  # its text is too long, which its result says
        (PREDICT, USUAL_MESSAGE_BYTES + 1, "8"),
    ],
)
def test_compressed_bombs_take_little_memory_and_leave_others_their_turn(
    own_front: Front, path: str, size: int, status: str
) -> None:
    """64 small messages that grow at once stay below 400 MB, and a neighbor is answered."""
    bomb, process = frame(one_text(size), 1), psutil.Process(own_front.process.pid)
    own_front.predictions.Predict(GOOD, timeout=10)
    highest, over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal highest
        while not over.wait(0.01):
            highest = max(highest, process.memory_info().rss / 1e6)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        slowest, ends = throw(own_front, path, bomb)
    finally:
        over.set()
        watcher.join()
    # The others find no room (8), or their turn would come after their 10 s (4).
    assert {end["grpc-status"] for end in ends} <= {status, "4", "8"}
    assert highest < 400
    assert slowest < 5


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ([("grpc-timeout", "1x")], frame(b""), "13"),
        ([("x-bin", "a")], frame(b""), "13"),
        ([("grpc-encoding", "br")], frame(b""), "12"),
        ([("grpc-encoding", "gzip")], frame(b"abc", 1), "3"),
        ([], frame(b"abc", 1), "3"),
        ([], frame(b"abc", 7), "3"),
        ([], frame(b"abc")[:-1], "3"),
        ([], b"", "3"),
        ([("grpc-timeout", "0n")], frame(GOOD.SerializeToString()), "4"),
    ],
)
def test_a_broken_call_is_refused_and_the_connection_goes_on(
    front: Front, headers: list[tuple[str, str]], body: bytes, status: str
) -> None:
    """The caller gets a status, and its next call an answer."""
    with RawCaller(front.address) as caller:
        caller.call(PREDICT, body, headers)
        (end,) = caller.ends(1)
        assert (end[":status"], end["grpc-status"]) == ("200", status)
        caller.call(PREDICT, frame(GOOD.SerializeToString()))
        (end,) = caller.ends(1)
        assert end["grpc-status"] == "0"
        caller.call("/no.Such/Method", frame(b""))
        (end,) = caller.ends(1)
        assert end["grpc-status"] == "12"


def test_rapid_resets_end_the_connection_only(front: Front) -> None:
    """A caller may reset 200 calls in ten seconds; with more its connection ends, no other."""
    body = frame(GOOD.SerializeToString())
    with RawCaller(front.address) as caller:
        for _ in range(200):
            caller.reset(caller.call(PREDICT, body))
        caller.call(PREDICT, body)
        assert caller.ends(1)[0]["grpc-status"] == "0"
        for _ in range(201):
            caller.reset(caller.call(PREDICT, body))
        assert caller.error_code() == 0xB  # ENHANCE_YOUR_CALM
    assert front.predictions.Predict(GOOD, timeout=10).prediction.label
    assert front.process.poll() is None
    assert "unexpected_error" not in front.log()
