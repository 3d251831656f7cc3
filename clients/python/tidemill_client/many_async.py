"""`predict_many` for asyncio: that of `many`, with tasks instead of threads."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Protocol

import grpc

from tidemill.v1.prediction_service_pb2 import StreamPredictRequest, StreamPredictResponse
from tidemill_client.errors import STREAM_ENDED, TidemillError, ended_early
from tidemill_client.many import Progress
from tidemill_client.sources import AsyncTexts, Texts
from tidemill_client.window import (
    Result,
    Window,
    backoff_seconds,
    is_passing,
    silence,
)

# Long enough for a refusal to arrive before the first request is sent.
_LISTEN_SECONDS = 0.25


class AsyncCall(Protocol):
    """An open StreamPredict call."""

    def __aiter__(self) -> AsyncIterator[StreamPredictResponse]: ...

    def cancel(self) -> bool:
        """End the call."""


OpenAsyncStream = Callable[[AsyncIterator[StreamPredictRequest]], AsyncCall]


async def ask_all_async(
    open_stream: OpenAsyncStream,
    texts: Iterable[str] | AsyncIterable[str],
    window: Window,
    timeout: float,
    progress: Progress | None,
) -> AsyncIterator[Result]:
    """Predict every text; see `AsyncTidemillClient.predict_many`."""
    woken, count = asyncio.Event(), 0
    source = AsyncTexts(texts, woken) if isinstance(texts, AsyncIterable) else Texts(texts)
    session = _AsyncSession(open_stream, window, timeout, woken)
    try:
        while True:
            for result in window.answered():
                count += 1
                if progress is not None:
                    progress(count)
                yield result
            if window.has_room and not session.has_answer and (taken := source.take()):
                session.send(window.add(*taken))
            elif window.is_empty and source.is_exhausted:
                return
            else:
                await session.wait()
    finally:
        await source.close()
        await session.close()


class _AsyncSession:
    """The streams, one after another, that answer a window."""

    def __init__(
        self, open_stream: OpenAsyncStream, window: Window, timeout: float, woken: asyncio.Event
    ) -> None:
        self._open_stream = open_stream
        self._window = window
        self._timeout = timeout
        self._woken = woken
        self._patience = timeout
        self._stream: _AsyncStream | None = None
        self._losses = 0
        self._listen_seconds = 0.0

    @property
    def has_answer(self) -> bool:
        """Whether `wait` would return immediately."""
        return self._stream is not None and bool(self._stream.answers)

    def send(self, request: StreamPredictRequest | None) -> None:
        """Send a request of the window; None stands for a text that cannot be sent."""
        if request is None:
            return
        if self._stream is None:
            self._opened()
        else:
            self._stream.send(request)

    async def wait(self) -> None:
        """Wait for an answer and give it to the window, or wait until `woken` is set.

        Raises:
            TidemillError: no answer came within the timeout, or the server refused the stream.
        """
        # Even if no answer is due, the stream may have ended, which must be handled first.
        if self._window.is_empty and not self.has_answer:
            self._woken.clear()
            await self._woken.wait()
            return
        stream, now = self._opened(), time.monotonic()
        for request in self._window.due(now):
            stream.send(request)
        if not stream.answers:
            await self._until_woken(now)
        if not stream.answers:
            return
        answer = stream.answers.popleft()
        if isinstance(answer, TidemillError):
            if self._window.refuse(answer):
                await self.close()
                return
            await self._lost(answer)
        else:
            self._losses, self._patience = 0, self._timeout
            self._window.take(answer, time.monotonic())

    async def _until_woken(self, now: float) -> None:
        """Wait until `woken` is set, a retry is due, or the timeout ends."""
        retry_at = self._window.next_retry()
        seconds = self._patience if retry_at is None else min(self._patience, retry_at - now)
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._patience -= time.monotonic() - now
        if self._patience <= 0 and not self.has_answer:
            raise silence(self._timeout)

    def _opened(self) -> "_AsyncStream":
        if self._stream is None:
            self._stream = _AsyncStream(self._open_stream, self._woken, self._listen_seconds)
            for request in self._window.unanswered():
                self._stream.send(request)
        return self._stream

    async def _lost(self, error: TidemillError) -> None:
        """Pause before the next stream, or raise the error that ended this one."""
        await self.close()
        self._losses += 1
        # The request being sent may hide the error of the server: listen to the next stream first.
        self._listen_seconds = _LISTEN_SECONDS if error.reason == STREAM_ENDED else 0.0
        pause = error.retry_after_seconds
        if pause is None:
            pause = backoff_seconds(self._losses)
        self._patience -= pause
        if not is_passing(error) or self._patience <= 0:
            raise error
        await asyncio.sleep(pause)

    async def close(self) -> None:
        """End the open call."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()


class _AsyncStream:
    """One call. A task reads its answers."""

    def __init__(
        self, open_stream: OpenAsyncStream, woken: asyncio.Event, listen_seconds: float
    ) -> None:
        self.answers: deque[StreamPredictResponse | TidemillError] = deque()
        self._woken = woken
        self._requests: asyncio.Queue[StreamPredictRequest | None] = asyncio.Queue()
        self._call = open_stream(self._outgoing(listen_seconds))
        self._reader = asyncio.create_task(self._read())

    def send(self, request: StreamPredictRequest) -> None:
        self._requests.put_nowait(request)

    async def close(self) -> None:
        """End the call and its task."""
        self._call.cancel()
        self._requests.put_nowait(None)
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _outgoing(self, listen_seconds: float) -> AsyncIterator[StreamPredictRequest]:
        await asyncio.wait([self._reader], timeout=listen_seconds)
        while (request := await self._requests.get()) is not None:
            yield request

    async def _read(self) -> None:
        try:
            async for response in self._call:
                self._note(response)
        except grpc.RpcError as error:
            self._note(TidemillError.from_rpc_error(error))
        else:
            self._note(ended_early())

    def _note(self, answer: StreamPredictResponse | TidemillError) -> None:
        self.answers.append(answer)
        self._woken.set()
