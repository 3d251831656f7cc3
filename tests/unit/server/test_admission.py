"""Which texts are admitted, and which wait."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace

import pytest

from tidemill_core.domain.access import NOBODY
from tidemill_core.errors import DeadlineExceeded, ResourceExhausted
from tidemill_server.inference.admission import (
    FIRST_LIMIT,
    MAX_LIMIT,
    MAX_WAITING_ROWS,
    MIN_LIMIT,
    ROWS_A_CALLER,
    PatientAdmission,
    UnaryAdmission,
)
from tidemill_server.security.acting import current_caller

DELAY = 0.03
LONG = 60.0


def limited_to(limit: float) -> UnaryAdmission:
    """Return an admission that refuses, and whose limit has fallen to a value."""
    admission = UnaryAdmission(DELAY)
    admission.limit = limit
    return admission


def queued_above(limit: float) -> PatientAdmission:
    """Return an admission that lets texts wait, and whose limit has fallen to a value."""
    admission = PatientAdmission(DELAY)
    admission.limit = limit
    return admission


def assert_refused(call: Callable[[], object]) -> None:
    """Assert that a call is OVERLOADED, with a retry delay."""
    with pytest.raises(ResourceExhausted) as caught:
        call()
    assert caught.value.reason == "OVERLOADED"
    assert 0.2 <= caught.value.retry_after_seconds <= 0.8


def now() -> float:
    """Return the time on the event loop's clock."""
    return asyncio.get_running_loop().time()


async def waiter(
    admission: PatientAdmission, rows: int = 1, seconds: float = LONG
) -> asyncio.Task[None]:
    """Return a task that already waits for admission."""
    task = asyncio.create_task(admission.wait(rows, now() + seconds))
    await asyncio.sleep(0)
    return task


def test_a_unary_call_is_refused_above_the_limit() -> None:
    """At the limit a call is OVERLOADED, and one that leaves makes room."""
    admission = limited_to(MIN_LIMIT)
    for _ in range(int(MIN_LIMIT)):
        admission.enter(1)
    assert_refused(lambda: admission.enter(1))
    admission.leave(1)
    admission.enter(1)


def test_a_caller_with_few_texts_is_admitted_beside_a_flood() -> None:
    """Many of one caller's texts refuse only its own, up to twice the limit."""

    def as_caller(caller_id: str, change: Callable[[int], None], rows: int) -> None:
        context = copy_context()
        context.run(current_caller.set, replace(NOBODY, caller_id=caller_id))
        context.run(change, rows)

    admission = limited_to(MIN_LIMIT)
    as_caller("flood", admission.enter, int(MIN_LIMIT))
    assert_refused(lambda: as_caller("flood", admission.enter, 1))
    for caller_id in ("second", "third"):
        as_caller(caller_id, admission.enter, ROWS_A_CALLER)
        assert_refused(lambda caller_id=caller_id: as_caller(caller_id, admission.enter, 1))
    assert_refused(lambda: as_caller("fourth", admission.enter, 1))
    as_caller("second", admission.leave, ROWS_A_CALLER)
    as_caller("second", admission.enter, ROWS_A_CALLER)


def test_the_limit_falls_by_a_tenth_once_a_round_trip() -> None:
    """Answers that queued too long cut the limit once per round trip, however many they are."""
    admission = UnaryAdmission(DELAY)
    admission.enter(int(FIRST_LIMIT))
    for _ in range(100):
        admission.observe(1, queue_delay=1.0, round_trip=0.5, now=10.0)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.9)
    admission.observe(1, queue_delay=1.0, round_trip=0.5, now=10.4)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.9)
    admission.observe(1, queue_delay=1.0, round_trip=0.5, now=10.5)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.81)


def test_the_limit_falls_to_what_is_used() -> None:
    """A cut starts from the most texts in flight, because a higher limit bounds nothing."""
    admission = UnaryAdmission(DELAY)
    admission.enter(50)
    admission.observe(1, queue_delay=0.0, round_trip=0.5, now=9.0)
    admission.leave(40)
    admission.observe(1, queue_delay=10.0, round_trip=0.5, now=10.0)
    assert admission.limit == pytest.approx(45.0)


def test_a_cut_is_given_time_to_show() -> None:
    """However short a round trip, the limit is cut at most once per 0.1 s."""
    admission = UnaryAdmission(DELAY)
    admission.enter(int(FIRST_LIMIT))
    for milliseconds in range(100):
        now = 10.0 + milliseconds / 1000
        admission.observe(1, queue_delay=1.0, round_trip=0.001, now=now)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.9)
    admission.observe(1, queue_delay=1.0, round_trip=0.001, now=10.1)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.81)


def test_the_limit_grows_by_one_a_round_trip_while_it_is_used() -> None:
    """A round trip of answers adds one; an unused limit does not grow."""
    admission = limited_to(100.0)
    admission.enter(10)
    admission.observe(10, queue_delay=0.0, round_trip=0.1, now=10.0)
    assert admission.limit == 100.0
    admission.enter(90)
    for _ in range(100):
        admission.observe(1, queue_delay=0.0, round_trip=0.1, now=10.0)
    assert admission.limit == pytest.approx(101.0, abs=0.02)


def test_the_limit_keeps_its_bounds() -> None:
    """The limit stays between 16 and 4,096."""
    admission = UnaryAdmission(DELAY)
    admission.enter(4096)
    for second in range(100):
        admission.observe(1, queue_delay=1.0, round_trip=0.5, now=float(second))
    assert admission.limit == MIN_LIMIT
    calm = limited_to(MAX_LIMIT - 0.5)
    calm.enter(4096)
    calm.observe(4096, queue_delay=0.0, round_trip=0.1, now=10.0)
    assert calm.limit == MAX_LIMIT


def test_one_slow_answer_says_little() -> None:
    """The delay is smoothed, so one answer of ten times the bound does not cut the limit."""
    admission = UnaryAdmission(DELAY)
    admission.enter(int(FIRST_LIMIT))
    admission.observe(1, queue_delay=10 * DELAY, round_trip=0.5, now=10.0)
    assert admission.limit >= FIRST_LIMIT


def test_texts_that_are_given_up_teach_the_limit() -> None:
    """Deadlines that pass in a long queue cut the limit; short ones do not raise it."""
    admission = UnaryAdmission(DELAY)
    admission.enter(int(FIRST_LIMIT))
    for _ in range(20):
        admission.observe_given_up(queue_delay=0.5, round_trip=0.5, now=10.0)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.9)
    for _ in range(1000):
        admission.observe_given_up(queue_delay=0.001, round_trip=0.001, now=11.0)
    admission.observe(1, queue_delay=0.5, round_trip=0.5, now=12.0)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.81)


async def test_the_texts_of_a_caller_are_admitted_in_their_order() -> None:
    """Each text that leaves admits the next one in order of arrival."""
    async with asyncio.timeout(60):
        admission, order = queued_above(16.0), list[int]()
        await admission.wait(16, now() + LONG)

        async def wait(number: int) -> None:
            await admission.wait(1, now() + LONG)
            order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(8)]
        await asyncio.sleep(0)
        assert admission.waiting_rows == 8
        for _ in tasks:
            admission.leave(1)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert order == list(range(8))
        assert (admission.rows, admission.waiting_rows) == (16, 0)


async def test_callers_who_wait_take_turns() -> None:
    """A caller with few texts does not wait behind all texts of another."""
    async with asyncio.timeout(60):
        admission, order = queued_above(16.0), list[str]()
        await admission.wait(16, now() + LONG)

        async def wait(caller: str) -> None:
            current_caller.set(replace(NOBODY, caller_id=caller))
            await admission.wait(16, now() + LONG)
            order.append(caller)

        async with asyncio.TaskGroup() as waiting:
            for caller in [*["alice"] * 20, "bob", "bob"]:
                waiting.create_task(wait(caller))
            await asyncio.sleep(0)
            for _ in range(22):
                admission.leave(16)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        assert order[:4].count("bob") == 2


@pytest.mark.parametrize("ending", ["cancelled", "late"])
async def test_who_gives_up_leaves_the_queue(ending: str) -> None:
    """A waiter that is canceled or late leaves its place to the next one immediately."""
    async with asyncio.timeout(60):
        admission = queued_above(16.0)
        await admission.wait(16, now() + LONG)
        first = await waiter(admission, 5, seconds=0.01 if ending == "late" else LONG)
        second = await waiter(admission, 3)
        if ending == "cancelled":
            first.cancel()
        [found] = await asyncio.gather(first, return_exceptions=True)
        expected = DeadlineExceeded if ending == "late" else asyncio.CancelledError
        assert isinstance(found, expected)
        assert admission.waiting_rows == 3
        admission.leave(16)
        await second
        assert (admission.rows, admission.waiting_rows) == (3, 0)


async def test_who_is_let_in_and_canceled_at_once_leaves_again() -> None:
    """Room given at the moment of cancellation goes to the next waiter."""
    async with asyncio.timeout(60):
        admission = queued_above(16.0)
        await admission.wait(16, now() + LONG)
        first, second = await waiter(admission, 16), await waiter(admission, 2)
        admission.leave(16)  # admits the first, which has not run yet
        first.cancel()
        await second
        assert first.cancelled()
        assert admission.rows == 2


async def test_too_many_do_not_wait() -> None:
    """Above 16,384 waiting texts, the next ones are OVERLOADED immediately."""
    async with asyncio.timeout(60):
        admission = queued_above(16.0)
        await admission.wait(16, now() + LONG)
        first = await waiter(admission, 1)
        with pytest.raises(ResourceExhausted, match="texts would wait, and the limit is 16,384"):
            await admission.wait(MAX_WAITING_ROWS, now() + LONG)
        others = await waiter(admission, MAX_WAITING_ROWS - 1)
        with pytest.raises(ResourceExhausted):
            await admission.wait(1, now() + LONG)
        for waiting in (first, others):
            waiting.cancel()


async def test_a_wait_that_would_be_too_long_is_refused_at_once() -> None:
    """Judged by earlier waits, a hurried batch is OVERLOADED, and a patient one waits."""
    async with asyncio.timeout(60):
        admission = queued_above(16.0)
        await admission.wait(16, now() + LONG)
        slow = await waiter(admission, 1024)
        await asyncio.sleep(0.5)
        admission.leave(16)
        await slow  # half a second behind 1,024 texts, with a weight of a tenth
        patient = await waiter(admission, 4096)
        with pytest.raises(ResourceExhausted):  # not DeadlineExceeded: before its time is up
            await admission.wait(1024, now() + 0.1)
        assert not patient.done()
        admission.leave(1024)
        await patient
        with pytest.raises(DeadlineExceeded):  # the queue is empty, so it may try
            await admission.wait(1024, now() + 0.01)


def test_all_of_the_limit_can_be_used() -> None:
    """Texts are admitted up to the limit."""
    admission = limited_to(16.0)
    for _ in range(16):
        admission.enter(1)
    assert admission.is_half_full
