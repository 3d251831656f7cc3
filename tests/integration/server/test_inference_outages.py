"""The Open Inference Protocol while Triton hangs, unloads a model, or dies."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2 as pb

from tests.integration.server.front import Front
from tests.integration.server.refusal import refusal, words
from tests.integration.server.scraping import in_flight
from tests.integration.server.test_inference_protocol import MODEL, request, stub
from tests.integration.server.test_outages import REQUEST, halted
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until

INFER, STREAM = "GRPCInferenceService/ModelInfer", "GRPCInferenceService/ModelStreamInfer"
AWAY = ("UNAVAILABLE", "TRITON_UNAVAILABLE", "")


@pytest.fixture
def warm(frail_front: Front) -> None:
    """Connect to Triton."""
    wait_until(lambda: _answers(stub(frail_front)), "the front answers", 30)


@pytest.mark.usefixtures("warm")
def test_calls_and_streams_end_when_triton_hangs(
    frail_front: Front, frail_triton: RunningTriton
) -> None:
    """Without a deadline, a Triton that does not answer has 10 s."""
    calls = stub(frail_front)
    with halted(frail_triton):
        start = time.monotonic()
        patient = calls.ModelInfer.future(request())
        endless = (request(number) for number in iter(int, 1))
        assert words(refusal(lambda: list(calls.ModelStreamInfer(endless)))) == AWAY
        expected = ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "")
        assert words(refusal(patient.result)) == expected
        assert 9 < time.monotonic() - start < 12
    wait_until(lambda: _answers(calls), "the front answers again")


@pytest.mark.usefixtures("warm")
def test_calls_that_nobody_waits_for_do_not_pin_their_model(
    frail_front: Front, frail_triton: RunningTriton
) -> None:
    """Triton can unload a model after calls were late, and streams were canceled."""
    calls = stub(frail_front)
    for _ in range(5):
        stream = calls.ModelStreamInfer(request() for _ in iter(int, 1))
        for _ in range(50):
            next(stream)
        stream.cancel()
    wait_until(lambda: _answers(calls), "the front answers again")
    with halted(frail_triton):
        late = [calls.ModelInfer.future(request(), timeout=0.3) for _ in range(50)]
        late += [frail_front.predictions.Predict.future(REQUEST, timeout=0.3) for _ in range(50)]
        assert {refusal(call.result).code for call in late} == {"DEADLINE_EXCEEDED"}
    with frail_triton.control() as control:
        control.unload(MODEL)
        try:
            wait_until(lambda: frail_triton.is_unloaded(MODEL), "the model is unloaded", 30)
        finally:
            control.load(MODEL)
    wait_until(lambda: _answers(calls), "the front answers again")


@pytest.mark.usefixtures("warm")
def test_tritons_death_ends_what_is_in_flight(
    frail_front: Front, frail_triton: RunningTriton
) -> None:
    """Waiting calls and streams are UNAVAILABLE immediately; an idle stream works again later."""
    calls, back = stub(frail_front), threading.Event()

    def patiently() -> Iterator[pb.ModelInferRequest]:
        yield request(1)
        back.wait(20)
        yield request(2)

    idle = calls.ModelStreamInfer(patiently(), timeout=30)
    assert next(idle).infer_response.id == "n1"
    with contextlib.suppress(ProcessLookupError), halted(frail_triton):
        waiting = [calls.ModelInfer.future(request(), timeout=5) for _ in range(8)]
        busy = calls.ModelStreamInfer(map(request, range(100)), timeout=5)
        wait_until(
            lambda: in_flight(frail_front, INFER, STREAM) == [8, 2], "all calls are under way"
        )
        frail_triton.kill()
    start = time.monotonic()
    assert {words(refusal(call.result)) for call in waiting} == {AWAY}
    assert words(refusal(lambda: list(busy))) == AWAY
    assert words(refusal(lambda: calls.ModelInfer(request(), timeout=5))) == AWAY
    assert words(refusal(lambda: calls.ServerReady(pb.ServerReadyRequest(), timeout=5))) == AWAY
    assert time.monotonic() - start < 2
    frail_triton.start()
    wait_until(lambda: _answers(calls), "the front answers again", 30)
    back.set()
    assert next(idle).infer_response.id == "n2"


def _answers(calls: Any) -> bool:
    with contextlib.suppress(grpc.RpcError):
        return bool(calls.ModelInfer(request(), timeout=5).id)
    return False
