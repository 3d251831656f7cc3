"""The end of streams when the drain begins, without a server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.plugins.waiting import until
from tidemill_server.rpc.drain import Drain, ShuttingDown


async def numbers(count: int) -> AsyncIterator[int]:
    """Yield some numbers, then nothing forever."""
    for number in range(count):
        yield number
    await asyncio.Event().wait()


async def test_a_stream_that_waits_is_ended_by_the_drain() -> None:
    """Earlier messages are passed on; the wait for the next ends as SHUTTING_DOWN."""
    drain = Drain()
    seen: list[int] = []

    async def read() -> None:
        async for number in drain.until_drained(numbers(3)):
            seen.append(number)  # noqa: PERF401 -- a list that is built at the end sees no end

    drain.check()
    readers = [asyncio.create_task(each) for each in (read(), read())]
    await until(lambda: len(seen) == 6, "both readers have what has come")
    drain.begin()
    for reader in readers:
        with pytest.raises(ShuttingDown):
            await asyncio.wait_for(reader, 30)
    with pytest.raises(ShuttingDown):
        drain.check()
    with pytest.raises(ShuttingDown):
        await anext(drain.until_drained(numbers(1)))
    assert sorted(seen) == [0, 0, 1, 1, 2, 2]


async def test_a_stream_that_ends_or_fails_by_itself_does_so_unchanged() -> None:
    """Its end and its own TimeoutError are not taken for the drain's."""

    async def two() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def late() -> AsyncIterator[int]:
        raise TimeoutError("its own")
        yield 0

    drain = Drain()
    assert [number async for number in drain.until_drained(two())] == [1, 2]
    with pytest.raises(TimeoutError, match="its own"):
        await anext(drain.until_drained(late()))
