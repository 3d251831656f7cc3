"""How much is let in, and who waits."""

import asyncio
from collections.abc import Callable

import pytest

from tidemill_core.errors import DeadlineExceeded, ResourceExhausted
from tidemill_server.inference.admission import (
    FIRST_LIMIT,
    MAX_LIMIT,
    MAX_WAITING_ROWS,
    MIN_LIMIT,
    Admission,
)

DELAY = 0.03
LONG = 60.0


def limited_to(limit: float) -> Admission:
    """An admission that has come down to a limit."""
    admission = Admission(DELAY)
    admission.limit = limit
    return admission


def assert_refused(call: Callable[[], object]) -> None:
    """A call is OVERLOADED, with a time to come back."""
    with pytest.raises(ResourceExhausted) as caught:
        call()
    assert caught.value.reason == "OVERLOADED"
    assert 0.2 <= caught.value.retry_after_seconds <= 0.8


def now() -> float:
    """On the event loop's clock."""
    return asyncio.get_running_loop().time()


async def waiter(admission: Admission, rows: int = 1, seconds: float = LONG) -> asyncio.Task[None]:
    """A task that waits to be let in already."""
    task = asyncio.create_task(admission.wait(rows, now() + seconds))
    await asyncio.sleep(0)
    return task


def test_a_unary_call_is_refused_above_the_limit() -> None:
    """As many texts as the limit come in, the next is OVERLOADED, and one that left makes room."""
    admission = limited_to(MIN_LIMIT)
    for _ in range(int(MIN_LIMIT)):
        admission.enter(1)
    assert_refused(lambda: admission.enter(1))
    admission.leave(1)
    admission.enter(1)


def test_the_limit_falls_by_a_tenth_once_a_round_trip() -> None:
    """Answers that queued too long cut it once, however many they are, and again a trip later."""
    admission = Admission(DELAY)
    admission.enter(int(FIRST_LIMIT))
    for _ in range(100):
        admission.observe(1, queue_delay=1.0, round_trip=0.5, now=10.0)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.9)
    admission.observe(1, queue_delay=1.0, round_trip=0.5, now=10.4)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.9)
    admission.observe(1, queue_delay=1.0, round_trip=0.5, now=10.5)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.81)


def test_the_limit_falls_to_what_is_used() -> None:
    """Above the most that was under way it would bound nothing, so a cut starts from there."""
    admission = Admission(DELAY)
    admission.enter(50)
    admission.observe(1, queue_delay=0.0, round_trip=0.5, now=9.0)
    admission.leave(40)
    admission.observe(1, queue_delay=10.0, round_trip=0.5, now=10.0)
    assert admission.limit == pytest.approx(45.0)


def test_a_cut_is_given_time_to_show() -> None:
    """However short a round trip, the limit is cut once in a tenth of a second."""
    admission = Admission(DELAY)
    admission.enter(int(FIRST_LIMIT))
    for milliseconds in range(100):
        now = 10.0 + milliseconds / 1000
        admission.observe(1, queue_delay=1.0, round_trip=0.001, now=now)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.9)
    admission.observe(1, queue_delay=1.0, round_trip=0.001, now=10.1)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.81)


def test_the_limit_grows_by_one_a_round_trip_while_it_is_used() -> None:
    """As many answers as the limit, which is one round trip, add one; unused it stays."""
    admission = limited_to(100.0)
    admission.enter(10)
    admission.observe(10, queue_delay=0.0, round_trip=0.1, now=10.0)
    assert admission.limit == 100.0
    admission.enter(90)
    for _ in range(100):
        admission.observe(1, queue_delay=0.0, round_trip=0.1, now=10.0)
    assert admission.limit == pytest.approx(101.0, abs=0.02)


def test_the_limit_keeps_its_bounds() -> None:
    """No overload brings it under 16, and no calm over 4,096."""
    admission = Admission(DELAY)
    admission.enter(4096)
    for second in range(100):
        admission.observe(1, queue_delay=1.0, round_trip=0.5, now=float(second))
    assert admission.limit == MIN_LIMIT
    calm = limited_to(MAX_LIMIT - 0.5)
    calm.enter(4096)
    calm.observe(4096, queue_delay=0.0, round_trip=0.1, now=10.0)
    assert calm.limit == MAX_LIMIT


def test_one_slow_answer_says_little() -> None:
    """The delay is smoothed: a single one of ten times the bound cuts nothing."""
    admission = Admission(DELAY)
    admission.enter(int(FIRST_LIMIT))
    admission.observe(1, queue_delay=10 * DELAY, round_trip=0.5, now=10.0)
    assert admission.limit >= FIRST_LIMIT


def test_texts_that_are_given_up_teach_the_limit() -> None:
    """Deadlines that end in a long queue cut it; short ones do not make the queue look short."""
    admission = Admission(DELAY)
    admission.enter(int(FIRST_LIMIT))
    for _ in range(20):
        admission.observe_given_up(queue_delay=0.5, round_trip=0.5, now=10.0)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.9)
    for _ in range(1000):
        admission.observe_given_up(queue_delay=0.001, round_trip=0.001, now=11.0)
    admission.observe(1, queue_delay=0.5, round_trip=0.5, now=12.0)
    assert admission.limit == pytest.approx(FIRST_LIMIT * 0.81)


async def test_who_waits_is_let_in_first_come_first_served() -> None:
    """Each that leaves lets in the next that waits, in the order that they came."""
    async with asyncio.timeout(10):
        admission, order = limited_to(16.0), list[int]()
        await admission.wait(12, now() + LONG)

        async def wait(number: int) -> None:
            await admission.wait(1, now() + LONG)
            order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(8)]
        await asyncio.sleep(0)
        assert admission.waiting_rows == 8
        for _ in tasks:
            admission.leave_patient(1)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert order == list(range(8))
        assert (admission.rows, admission.waiting_rows) == (12, 0)


@pytest.mark.parametrize("ending", ["cancelled", "late"])
async def test_who_gives_up_leaves_the_queue(ending: str) -> None:
    """A waiter that is cancelled or late frees its place at once, and the next comes in."""
    async with asyncio.timeout(10):
        admission = limited_to(16.0)
        await admission.wait(16, now() + LONG)
        first = await waiter(admission, 5, seconds=0.01 if ending == "late" else LONG)
        second = await waiter(admission, 3)
        if ending == "cancelled":
            first.cancel()
        [found] = await asyncio.gather(first, return_exceptions=True)
        expected = DeadlineExceeded if ending == "late" else asyncio.CancelledError
        assert isinstance(found, expected)
        assert admission.waiting_rows == 3
        admission.leave_patient(16)
        await second
        assert (admission.rows, admission.waiting_rows) == (3, 0)


async def test_who_is_let_in_and_cancelled_at_once_leaves_again() -> None:
    """Room that was given in the moment of the cancelling is given to the next."""
    async with asyncio.timeout(10):
        admission = limited_to(16.0)
        await admission.wait(16, now() + LONG)
        first, second = await waiter(admission, 16), await waiter(admission, 2)
        admission.leave_patient(16)  # lets the first in, which has not run yet
        first.cancel()
        await second
        assert first.cancelled()
        assert admission.rows == 2


async def test_too_many_do_not_wait() -> None:
    """Above 16,384 texts that wait the next are OVERLOADED at once."""
    async with asyncio.timeout(10):
        admission = limited_to(16.0)
        await admission.wait(16, now() + LONG)
        waiting = await waiter(admission, MAX_WAITING_ROWS)
        with pytest.raises(ResourceExhausted):
            await admission.wait(1, now() + LONG)
        waiting.cancel()


async def test_a_wait_that_would_be_too_long_is_refused_at_once() -> None:
    """Judged by those before it a hurried batch is OVERLOADED, and a patient one waits."""
    async with asyncio.timeout(10):
        admission = limited_to(16.0)
        await admission.wait(16, now() + LONG)
        slow = await waiter(admission, 1024)
        await asyncio.sleep(0.5)
        admission.leave_patient(16)
        await slow  # half a second behind 1,024 texts, of which a tenth is believed at once
        patient = await waiter(admission, 4096)
        begin = now()
        with pytest.raises(ResourceExhausted):
            await admission.wait(1024, begin + 0.1)
        assert now() - begin < 0.1  # before its time is up
        assert not patient.done()
        admission.leave_patient(1024)
        await patient
        with pytest.raises(DeadlineExceeded):  # nobody waits before it, so it may try
            await admission.wait(1024, now() + 0.01)


async def test_unary_calls_do_not_starve_batches() -> None:
    """While batches wait unary calls are refused from three quarters on, and batches come in."""
    async with asyncio.timeout(10):
        admission = limited_to(16.0)
        for _ in range(16):
            admission.enter(1)
        waiting = [await waiter(admission) for _ in range(10)]
        for _ in range(4):
            admission.leave(1)
            assert_refused(lambda: admission.enter(1))
        await asyncio.sleep(0)
        assert [each.done() for each in waiting] == [True] * 4 + [False] * 6
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_batches_do_not_starve_unary_calls() -> None:
    """Batches come in up to three quarters of the limit; the last is there for unary calls."""
    async with asyncio.timeout(10):
        admission = limited_to(16.0)
        for _ in range(12):
            await admission.wait(1, now() + LONG)
        waiting = await waiter(admission)
        for _ in range(4):
            admission.enter(1)
        assert_refused(lambda: admission.enter(1))
        assert not waiting.done()
        waiting.cancel()


def test_alone_unary_calls_may_take_all() -> None:
    """While nothing waits no room is kept back."""
    admission = limited_to(16.0)
    for _ in range(16):
        admission.enter(1)
    assert admission.is_half_full
