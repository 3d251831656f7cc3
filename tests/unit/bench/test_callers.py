"""The benchmark's own callers, against real gRPC servers that send each request back."""

import itertools
from dataclasses import replace

import pytest

from bench.serving.callers import Crew, closed_loop, open_loop
from bench.serving.echo import TRANSPORTS, echoed, running_echo


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_call_of_a_closed_loop_is_answered(transport: str) -> None:
    """No call is refused or lost, and only the last call of each caller ends after the time."""
    with running_echo(transport, 1) as (address, _):
        (found,) = closed_loop([echoed(address, 64)], 0.5)
    assert found.refused == found.unanswered == 0
    assert 0 < found.rows_per_second <= found.asked_per_second
    assert found.asked_per_second - found.rows_per_second <= 64 / 0.5
    assert found.p50_ms <= found.p99_ms


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_bodies_above_every_window_arrive_whole(transport: str) -> None:
    """Bodies that flow control cuts into parts come back with the same bytes."""
    body = b"\0" + (300_000).to_bytes(4, "big") + bytes(range(250)) * 1200
    wrong: list[bytes] = []

    def rows(answer: bytes) -> int:
        if len(answer) == len(body) and answer != body:
            wrong.append(answer)
        return len(answer) == len(body)

    with running_echo(transport, 1) as (address, _):
        crew = Crew(address, "/bench.Echo/Echo", (), itertools.repeat(body), 8, rows=rows)
        (found,) = closed_loop([crew], 0.5)
    assert found.rows_per_second > 0
    assert (found.refused, found.unanswered, wrong) == (0, 0, [])


def test_two_kinds_of_callers_are_counted_apart() -> None:
    """Callers of two methods at once each have their own result."""
    with running_echo("grpcio", 1) as (address, _):
        few, many = echoed(address, 1), replace(echoed(address, 32), rows_asked=3)
        found = closed_loop([few, many], 0.5)
    assert found[0].rows_per_second < found[1].asked_per_second / 3


def test_an_open_loop_counts_answers_in_time_only() -> None:
    """With a deadline that cannot be met, calls are late or refused, and none counts."""
    with running_echo("grpcio", 1) as (address, _):
        kept = open_loop(echoed(address, 1), 200, 0.5, in_time=1.0)
        missed = open_loop(echoed(address, 1), 200, 0.5, in_time=0.00001)
    assert kept.rows_per_second == pytest.approx(200, rel=0.2)
    assert missed.rows_per_second == 0
