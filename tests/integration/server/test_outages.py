"""Deadlines, canceled calls, and a Triton that stops or dies."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, Front
from tests.integration.server.refusal import refusal, words
from tests.integration.server.scraping import in_flight
from tests.integration.server.test_health import NOT_SERVING, SERVING, health
from tests.integration.server.triton_load import rows
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb

pytestmark = BOTH_TRANSPORTS
PREDICT = "PredictionService/Predict"
REQUEST = pb.PredictRequest(task="support", text="lost my card")


@contextlib.contextmanager
def halted(triton: RunningTriton) -> Iterator[None]:
    """Stop Triton in the block: it accepts calls and answers none."""
    os.kill(triton.process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, triton.process.pid, os.WSTOPPED)  # until its last thread has stopped
    try:
        yield
    finally:
        os.kill(triton.process.pid, signal.SIGCONT)


def seconds_of(call: Any) -> float:
    """Return the duration of a call that must be answered."""
    start = time.monotonic()
    assert call().prediction.label
    return time.monotonic() - start


@pytest.fixture(autouse=True)
def warm(frail_front: Front) -> None:
    """Connect to Triton, and to the front again: h2corn ends a connection after 200 resets.

    The front also forgets how long the calls of the last test took.
    """
    frail_front.channel.close()
    frail_front.connect()
    wait_until(
        lambda: health(frail_front, "tidemill.task.support") == SERVING, "the task is SERVING", 30
    )
    for _ in range(20):
        frail_front.predictions.Predict(REQUEST, timeout=10)


def test_a_callers_deadline_holds_when_triton_hangs(
    frail_front: Front, frail_triton: RunningTriton
) -> None:
    """200 calls of 50 ms end in time, and the next one is answered."""
    with halted(frail_triton):
        start = time.monotonic()
        calls = [frail_front.predictions.Predict.future(REQUEST, timeout=0.05) for _ in range(200)]
        codes = {refusal(call.result).code for call in calls}
        assert codes <= {"DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
        assert "DEADLINE_EXCEEDED" in codes
        assert time.monotonic() - start < 1.0
        wait_until(lambda: in_flight(frail_front, PREDICT) == [0], "no call is under way")
    assert seconds_of(lambda: frail_front.predictions.Predict(REQUEST, timeout=5)) < 1.0


def test_a_short_deadline_does_not_end_its_neighbours_calls(
    frail_front: Front, frail_triton: RunningTriton
) -> None:
    """Patient callers merged with hurried ones still get their answers."""
    predict = frail_front.predictions.Predict
    with halted(frail_triton):
        hurried = [predict.future(REQUEST, timeout=0.1) for _ in range(20)]
        patient = [predict.future(REQUEST, timeout=5) for _ in range(20)]
        assert {refusal(call.result).code for call in hurried} == {"DEADLINE_EXCEEDED"}
    assert all(call.result().prediction.label for call in patient)


def test_cancelled_calls_do_no_more_work(frail_front: Front, frail_triton: RunningTriton) -> None:
    """Of 200 canceled calls, only those already in flight reach the model."""
    before = rows(frail_triton)
    with halted(frail_triton):
        calls = []
        for _ in range(200):
            calls.append(frail_front.predictions.Predict.future(REQUEST))
            time.sleep(0.002)  # texts that arrive together are sent together, however many
        wait_until(
            lambda: in_flight(frail_front, PREDICT) == [sum(not call.done() for call in calls)],
            "all calls have come",
        )
        for call in calls:
            call.cancel()
        wait_until(lambda: in_flight(frail_front, PREDICT) == [0], "no call is under way")
    assert seconds_of(lambda: frail_front.predictions.Predict(REQUEST, timeout=5)) < 1.0
    assert rows(frail_triton) - before < 100


def test_the_server_survives_tritons_death(frail_front: Front, frail_triton: RunningTriton) -> None:
    """Calls are UNAVAILABLE immediately; after a restart they are answered."""
    predict = frail_front.predictions.Predict
    with contextlib.suppress(ProcessLookupError), halted(frail_triton):
        calls = [predict.future(REQUEST, timeout=5) for _ in range(32)]
        wait_until(lambda: in_flight(frail_front, PREDICT) == [32], "all calls are under way")
        frail_triton.kill()
    expected = ("UNAVAILABLE", "TRITON_UNAVAILABLE", "")
    start = time.monotonic()
    assert {words(refusal(call.result)) for call in calls} == {expected}
    refused = refusal(lambda: predict(REQUEST, timeout=5))
    assert words(refused) == expected
    assert refused.message == "Triton does not answer"  # and not where it is
    assert time.monotonic() - start < 2
    wait_until(
        lambda: health(frail_front, "tidemill.task.support") == NOT_SERVING,
        "the task is NOT_SERVING",
    )
    assert health(frail_front, "") == SERVING
    frail_triton.start()
    wait_until(
        lambda: health(frail_front, "tidemill.task.support") == SERVING, "the task is SERVING", 30
    )
    assert predict(REQUEST, timeout=5).prediction.label
