"""Callers that open a call and do not send its message."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.server.front import BOTH_TRANSPORTS, Front, Workspace
from tests.integration.server.refusal import refusal, words
from tests.integration.server.scraping import in_flight
from tests.integration.server.test_metrics import access_log, grown
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until

PREDICT = "PredictionService/Predict"
WATCH = "JobService/WatchJobRun"
Open = Callable[..., Any]


@pytest.fixture
def silently() -> Iterator[Open]:
    """Open a call of a method on a channel, and send nothing."""
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(60)
        yield from ()

    def opened(channel: Any, method: str, **options: Any) -> Any:
        path = f"/tidemill.v1.{method}"
        if method == WATCH:
            return channel.stream_stream(path)(nothing(), **options)
        return channel.stream_unary(path).future(nothing(), **options)

    yield opened
    over.set()


def test_a_message_that_does_not_come_ends_its_call(
    fronts: Callable[[str], Front], silently: Open
) -> None:
    """After 10 s the call fails, unary or not, on each transport; till then it is in flight."""
    both = [fronts(transport) for transport in ("h2corn", "grpcio")]
    start = time.monotonic()
    unary = [silently(front.channel, PREDICT) for front in both]
    streams = [silently(front.channel, WATCH) for front in both]
    until_under_way(both, [1, 1])
    refused = [words(refusal(call.result)) for call in unary]
    refused += [words(refusal(partial(next, stream))) for stream in streams]
    assert 9.5 < time.monotonic() - start < 12
    assert refused == [("DEADLINE_EXCEEDED", "MESSAGE_NOT_SENT", "")] * 4
    until_under_way(both, [0, 0])


def until_under_way(fronts: list[Front], calls: list[int]) -> None:
    """Wait until each front has so many calls of both methods under way."""
    for front in fronts:
        wait_until(
            partial(lambda front: in_flight(front, PREDICT, WATCH) == calls, front),
            f"the calls under way are {calls}",
        )


@BOTH_TRANSPORTS
def test_a_drain_ends_the_wait(
    tmp_path: Path, triton: RunningTriton, silently: Open, transport: str
) -> None:
    """Calls without their message are SHUTTING_DOWN immediately, and do not delay the end."""
    workspace = Workspace(tmp_path, {"support": 1})
    with Front(workspace, triton.grpc_address, transport=transport) as front:
        calls = [silently(front.channel, PREDICT) for _ in range(20)]
        watch = silently(front.channel, WATCH)
        wait_until(
            lambda: in_flight(front, PREDICT, WATCH) == [20, 1], "the calls under way are [20, 1]"
        )
        start = time.monotonic()
        assert front.stop() == 0
        assert time.monotonic() - start < 4
        ended = {words(refusal(call.result)) for call in calls} | {
            words(refusal(lambda: next(watch)))
        }
        assert ended == {("UNAVAILABLE", "SHUTTING_DOWN", "")}
        assert "unexpected_error" not in front.log()


@BOTH_TRANSPORTS
@pytest.mark.parametrize("seconds", [0.3, 1.5])
def test_a_deadline_that_passes_is_told_from_a_caller_that_hangs_up(
    front: Front, workspace: Workspace, silently: Open, seconds: float
) -> None:
    """Metrics and access log have DEADLINE_EXCEEDED for one, and CANCELLED for the other."""
    ends = ("DEADLINE_EXCEEDED", "CANCELLED")
    counts = [{"requests_total": {"method": PREDICT, "code": code}} for code in ends]
    before = len(access_log(workspace))

    def miss() -> None:
        call = silently(front.channel, PREDICT, timeout=seconds)
        assert refusal(call.result).code == "DEADLINE_EXCEEDED"

    def hang_up() -> None:
        call = silently(front.channel, PREDICT, timeout=seconds + 20)
        wait_until(lambda: in_flight(front, PREDICT) == [1], "one call is under way")
        call.cancel()
        with pytest.raises(grpc.FutureCancelledError):
            call.result()

    assert grown(front, counts[0], miss) == {"requests_total": 1}
    assert grown(front, counts[1], hang_up) == {"requests_total": 1}
    wait_until(lambda: len(access_log(workspace)) >= before + 2, "both calls are in the access log")
    told = [line["code"] for line in access_log(workspace)[before:]]
    assert [code for code in told if code != "OK"] == list(ends)
