"""Which calls are refused while more arrive than the process can begin."""

import asyncio

import pytest
from google.rpc import code_pb2

from tidemill_server.rpc.backlog import CALLS_A_CALLER, FULL_TURN, Backlog

ONE, OTHER = "one", "other"
MAX_SECONDS = 0.025
STEP = 0.01
"""From one turn to the next, in seconds."""


async def turns(backlog: Backlog, *sizes: int, step: float = STEP) -> list[bool]:
    """Begin calls in turns of the loop; return whether each turn meets a long backlog."""
    found = []
    for number, calls in enumerate(sizes):
        found.append([backlog.begin(number * step) for _ in range(calls)][-1])
        await asyncio.sleep(0)
    return found


def busy() -> Backlog:
    """Return a backlog beside many calls in flight."""
    backlog = Backlog(MAX_SECONDS)
    backlog.in_flight = FULL_TURN
    return backlog


async def test_calls_that_always_arrive_together_are_not_refused() -> None:
    """Callers who call again together, once they have their answers, leave no backlog."""
    found = await turns(Backlog(MAX_SECONDS), *[FULL_TURN] * 6)
    assert not any(found)


async def test_a_backlog_is_refused_once_it_has_lasted_until_a_turn_begins_fewer_calls() -> None:
    """Full turns beside many calls in flight are refused after a time; a smaller turn ends it."""
    sizes = [FULL_TURN] * 5 + [FULL_TURN - 1, FULL_TURN]
    found = await turns(busy(), *sizes)
    assert found == [False, False, False, False, True, True, False]


async def test_a_slow_process_refuses_a_backlog_too() -> None:
    """Turns that take longer than texts may wait are no pauses between calls."""
    found = await turns(busy(), *[FULL_TURN] * 4, step=2 * MAX_SECONDS)
    assert found == [False, False, True, True]


async def test_a_backlog_ends_when_nothing_arrives_for_a_time() -> None:
    """The first call after a pause is not refused."""
    backlog = busy()
    assert (await turns(backlog, *[FULL_TURN] * 5))[-1]
    assert not backlog.begin(1.0)


def test_few_calls_of_a_caller_pass_beside_many_of_another() -> None:
    """A caller's first calls in a turn are not refused; nor are any while few are in flight."""
    backlog = busy()
    passed = [backlog.refusal(ONE, 0.0, None) is None for _ in range(FULL_TURN)]
    assert passed == [True] * CALLS_A_CALLER + [False] * (FULL_TURN - CALLS_A_CALLER)
    assert backlog.refusal(OTHER, 0.0, None) is None
    backlog.in_flight = FULL_TURN - 1
    assert backlog.refusal(ONE, 0.0, None) is None


@pytest.mark.parametrize(("deadline", "is_retried"), [(None, True), (60.0, True), (0.1, False)])
def test_a_refusal_says_when_to_retry_if_there_is_time(
    deadline: float | None, is_retried: bool
) -> None:
    """A refusal is RESOURCE_EXHAUSTED, and gRPC's own retries wait only within the deadline."""
    backlog = busy()
    found = [backlog.refusal(ONE, 0.0, deadline) for _ in range(CALLS_A_CALLER + 1)][-1]
    assert found is not None
    assert found.code == code_pb2.RESOURCE_EXHAUSTED
    assert (int(dict(found.metadata)["grpc-retry-pushback-ms"]) >= 200) is is_retried
