"""Concurrent answers to the requests of a stream, in the order of the requests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

Request = TypeVar("Request")
Response = TypeVar("Response")
Answer = Callable[[Request], Coroutine[Any, Any, Response | Exception]]

MAX_WINDOW = 256
"""Requests of one stream that are in flight at a time; a faster caller is slowed down."""
MIN_WINDOW = 2
_SHARED = 16_384


class StreamWindows:
    """The bounds on requests in flight on each stream of this process.

    Unread answers stay in memory, so streams share a bound: the more streams are open, the fewer
    requests the next stream may have in flight. A stream's window does not change.
    """

    def __init__(self) -> None:
        self._open = 0

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Yield the window of a stream that is open until the block ends."""
        self._open += 1
        try:
            yield max(MIN_WINDOW, min(MAX_WINDOW, _SHARED // self._open))
        finally:
            self._open -= 1


async def pipelined(
    requests: AsyncIterator[Request],
    answer: Answer[Request, Response],
    windows: StreamWindows,
) -> AsyncIterator[Response]:
    """Yield one response per request, in order.

    A slow reader slows the writer down. If the iteration ends early, the answers in flight are
    canceled.

    Args:
        requests: the caller's stream.
        answer: answers one request; an exception that it returns ends the stream.
        windows: bounds the requests in flight.

    Raises:
        Exception: `answer` returned it or `requests` raised it; all earlier answers come first.
    """
    pending: asyncio.Queue[asyncio.Task[Response | Exception] | Exception | None]
    with windows.opened() as window:
        pending = asyncio.Queue(window)
        reader = asyncio.create_task(_read(requests, answer, pending))
        try:
            while (waiting := await pending.get()) is not None:
                found = waiting if isinstance(waiting, Exception) else await waiting
                if isinstance(found, Exception):
                    try:
                        raise found
                    finally:
                        # The error's traceback has this frame: a cycle would keep the request.
                        del found, waiting
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
