"""Answering the requests of a stream side by side, and in their order."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")
Answer = Callable[[Request], Coroutine[Any, Any, Response | Exception]]


async def pipelined(
    requests: AsyncIterator[Request],
    answer: Answer[Request, Response],
    window: int,
) -> AsyncGenerator[Response, None]:
    """Yield one response a request, in order.

    Whoever reads slowly holds back whoever writes. When the iteration ends early, the answers
    under way are cancelled.

    Args:
        requests: the caller's stream.
        answer: answers one; an exception that it returns ends the stream.
        window: how many requests are under way at a time.

    Raises:
        Exception: what `answer` returned, or what `requests` raised, after the answers before it.
    """
    pending: asyncio.Queue[asyncio.Task[Response | Exception] | Exception | None]
    pending = asyncio.Queue(window)
    reader = asyncio.create_task(_read(requests, answer, pending))
    try:
        while (waiting := await pending.get()) is not None:
            found = waiting if isinstance(waiting, Exception) else await waiting
            if isinstance(found, Exception):
                raise found
            yield found
    finally:
        reader.cancel()
        while not pending.empty():
            if isinstance(left := pending.get_nowait(), asyncio.Task):
                left.cancel()


async def _read(
    requests: AsyncIterator[Request],
    answer: Answer[Request, Response],
    pending: "asyncio.Queue[asyncio.Task[Response | Exception] | Exception | None]",
) -> None:
    try:
        async for request in requests:
            waiting = asyncio.create_task(answer(request))
            try:
                await pending.put(waiting)
            except asyncio.CancelledError:
                waiting.cancel()
                raise
    except Exception as error:
        await pending.put(error)
    else:
        await pending.put(None)
