"""`predict_many`: any number of texts over a stream, with a bounded window."""

import time
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol, Self

import grpc

from tidemill.v1.prediction_service_pb2 import StreamPredictRequest, StreamPredictResponse
from tidemill_client.errors import TidemillError, ended_early
from tidemill_client.window import (
    Result,
    Window,
    backoff_seconds,
    is_passing,
    silence,
)

# A signal may reach one of gRPC's threads; the caller's thread notices it only between waits.
_LOOK_UP_SECONDS = 0.1

Progress = Callable[[int], None]


class Call(Protocol):
    """An open StreamPredict call."""

    def __iter__(self) -> Iterator[StreamPredictResponse]: ...

    def cancel(self) -> bool:
        """End the call."""


OpenStream = Callable[[Iterator[StreamPredictRequest]], Call]


def ask_all(
    open_stream: OpenStream,
    texts: Iterable[str],
    window: Window,
    timeout: float,
    progress: Progress | None,
) -> Iterator[Result]:
    """Predict every text; see `TidemillClient.predict_many`.

    The caller's thread reads the texts between answers, so their source need not be thread-safe,
    and its errors are raised here.
    """
    source, is_exhausted, count = iter(texts), False, 0
    with _Session(open_stream, window, timeout) as session:
        while True:
            for result in window.answered():
                count += 1
                if progress is not None:
                    progress(count)
                yield result
            if window.has_room and not is_exhausted and not session.has_answer:
                try:
                    request = window.add(next(source))
                except StopIteration:
                    is_exhausted = True
                else:
                    session.send(request)
            elif window.is_empty and is_exhausted:
                return
            else:
                session.wait()


class _Session:
    """The streams, one after another, that answer a window."""

    def __init__(self, open_stream: OpenStream, window: Window, timeout: float) -> None:
        self._open_stream = open_stream
        self._window = window
        self._timeout = timeout
        self._stream: _Stream | None = None
        self._losses = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def has_answer(self) -> bool:
        """Whether `wait` would return immediately."""
        return self._stream is not None and self._stream.has_answer

    def send(self, request: StreamPredictRequest | None) -> None:
        """Send a request of the window; None stands for a text that cannot be sent."""
        if request is None:
            return
        if self._stream is None:
            self._opened()
        else:
            self._stream.send(request)

    def wait(self) -> None:
        """Wait for an answer, retry where needed, and give the answer to the window.

        Raises:
            TidemillError: no answer came within the timeout, or the server refused the stream.
        """
        give_up_at = time.monotonic() + self._timeout
        while True:
            stream, now = self._opened(), time.monotonic()
            for request in self._window.due(now):
                stream.send(request)
            retry_at = self._window.next_retry()
            until = give_up_at if retry_at is None else min(give_up_at, retry_at)
            answer = stream.receive(max(0.0, until - now))
            if isinstance(answer, StreamPredictResponse):
                self._losses = 0
                self._window.take(answer, time.monotonic())
                return
            if isinstance(answer, TidemillError):
                if self._window.refuse(answer):
                    self._close()
                    return
                self._lost(answer, give_up_at)
            elif time.monotonic() >= give_up_at:
                raise silence(self._timeout)

    def _opened(self) -> "_Stream":
        if self._stream is None:
            self._stream = _Stream(self._open_stream)
            for request in self._window.unanswered():
                self._stream.send(request)
        return self._stream

    def _lost(self, error: TidemillError, give_up_at: float) -> None:
        """Pause before the next stream, or raise the error that ended this one."""
        self._close()
        self._losses += 1
        pause = error.retry_after_seconds
        if pause is None:
            pause = backoff_seconds(self._losses)
        if not is_passing(error) or time.monotonic() + pause >= give_up_at:
            raise error
        end = time.monotonic() + pause
        while (remaining := end - time.monotonic()) > 0:
            time.sleep(min(remaining, _LOOK_UP_SECONDS))

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class _Stream:
    """One call. A thread reads its answers, so that waiting for them can time out."""

    def __init__(self, open_stream: OpenStream) -> None:
        self._requests: SimpleQueue[StreamPredictRequest | None] = SimpleQueue()
        self._answers: SimpleQueue[StreamPredictResponse | TidemillError] = SimpleQueue()
        self._call = open_stream(iter(self._requests.get, None))
        self._reader = Thread(target=self._read, name="tidemill-answers", daemon=True)
        self._reader.start()

    @property
    def has_answer(self) -> bool:
        return not self._answers.empty()

    def send(self, request: StreamPredictRequest) -> None:
        self._requests.put(request)

    def receive(self, timeout: float) -> StreamPredictResponse | TidemillError | None:
        """Return the next answer or the error that ended the call; None if nothing came in time."""
        end = time.monotonic() + timeout
        while True:
            remaining = max(0.0, end - time.monotonic())
            try:
                return self._answers.get(timeout=min(remaining, _LOOK_UP_SECONDS))
            except Empty:
                if remaining <= _LOOK_UP_SECONDS:
                    return None

    def close(self) -> None:
        """End the call and its threads."""
        self._call.cancel()
        self._requests.put(None)
        self._reader.join()

    def _read(self) -> None:
        try:
            for response in self._call:
                self._answers.put(response)
        except grpc.RpcError as error:
            self._answers.put(TidemillError.from_rpc_error(error))
        else:
            self._answers.put(ended_early())
