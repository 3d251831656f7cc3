"""The state of `predict_many`: the texts that are open, answered, or to be sent again.

It does no input or output, so both clients share it.
"""

import random
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Real

import grpc

from tidemill.v1.prediction_service_pb2 import StreamPredictRequest, StreamPredictResponse
from tidemill_client.connection import (
    FIRST_BACKOFF_SECONDS,
    MAX_ATTEMPTS,
    MAX_BACKOFF_SECONDS,
    RETRIED_CODES,
)
from tidemill_client.errors import (
    DeadlineExceeded,
    InvalidRequest,
    MessageTooLarge,
    TidemillError,
)
from tidemill_client.requests import built, text_error
from tidemill_client.results import Prediction, result_of

Result = Prediction | TidemillError


@dataclass(frozen=True)
class Question:
    """The arguments that all texts of one run share; see `TidemillClient.predict`."""

    task: str
    top_k: int
    model_version: int
    routing_key: str
    attributes: Mapping[str, str] | None

    def request(self, id: str, text: str) -> StreamPredictRequest:  # noqa: A002 -- the field's name
        """Return the request for one text.

        Raises:
            InvalidRequest: the text cannot be sent.
        """
        if (error := text_error(text, "text", id)) is not None:
            raise error
        return built(
            StreamPredictRequest,
            id,
            id=id,
            task=self.task,
            text=text,
            top_k=self.top_k,
            model_version=self.model_version,
            routing_key=self.routing_key,
            attributes=self.attributes,
        )


@dataclass
class _Item:
    request: StreamPredictRequest
    attempts: int = 1
    result: Result | None = None
    retry_at: float | None = None


class Window:
    """The texts that were read and whose results were not returned yet, in order.

    Args:
        question: the arguments that they share.
        size: the most texts, at least 1.
    """

    def __init__(self, question: Question, size: int) -> None:
        if not isinstance(size, int | float | Real) or not size >= 1:  # NaN is not
            raise ValueError(f"window is {size!r:.40}; it must be a number, at least 1")
        self._question = question
        self._size = size
        self._items: deque[_Item] = deque()
        self._by_id: dict[str, _Item] = {}
        self._put_off: list[_Item] = []
        self._count = 0

    @property
    def has_room(self) -> bool:
        """Whether another text may be read."""
        return len(self._items) < self._size

    @property
    def is_empty(self) -> bool:
        """Whether the result of every text was returned."""
        return not self._items

    def add(self, text: str) -> StreamPredictRequest | None:
        """Add a text and return its request; None if it cannot be sent: its result is the error."""
        item = _Item(StreamPredictRequest(id=str(self._count)))
        self._count += 1
        self._items.append(item)
        self._by_id[item.request.id] = item
        try:
            item.request = self._question.request(item.request.id, text)
        except InvalidRequest as error:
            item.result = error
            return None
        return item.request

    def take(self, response: StreamPredictResponse, now: float) -> None:
        """Store an answer. After a temporary error the text is sent again later."""
        item = self._by_id.get(response.id)
        if item is None or item.result is not None:
            return  # already answered
        result = result_of(response, response.id)
        if (
            isinstance(result, TidemillError)
            and result.code in RETRIED_CODES
            and item.attempts < MAX_ATTEMPTS
        ):
            pause = result.retry_after_seconds
            item.retry_at = now + (backoff_seconds(item.attempts) if pause is None else pause)
            item.attempts += 1
            self._put_off.append(item)
        else:
            item.result = result

    def refuse(self, error: TidemillError) -> bool:
        """Give a size error to the requests that are too large; return False if there are none."""
        limit = error.limit_bytes if isinstance(error, MessageTooLarge) else None
        sent = [] if limit is None else [one for one in self._items if one.result is None]
        large = [item for item in sent if item.request.ByteSize() > (limit or 0)]
        for item in large:
            item.result = error
        return bool(large)

    def answered(self) -> Iterator[Result]:
        """Yield the available results that are next in order."""
        while self._items and (result := self._items[0].result) is not None:
            del self._by_id[self._items.popleft().request.id]
            yield result

    def due(self, now: float) -> Iterator[StreamPredictRequest]:
        """Yield the requests whose retry is due."""
        ready = [
            item for item in self._put_off if item.retry_at is not None and item.retry_at <= now
        ]
        for item in ready:
            self._put_off.remove(item)
            item.retry_at = None
            yield item.request

    def next_retry(self) -> float | None:
        """Return the time of the next retry; None if there is none."""
        moments = (item.retry_at for item in self._put_off if item.retry_at is not None)
        return min(moments, default=None)

    def unanswered(self) -> Iterator[StreamPredictRequest]:
        """Yield the requests that a new stream must send after the old one was lost."""
        for item in self._items:
            if item.result is None and item.retry_at is None:
                yield item.request


def is_passing(error: TidemillError) -> bool:
    """Return whether a new stream may help after this error."""
    # A server that stops cancels open calls.
    return error.code in RETRIED_CODES or error.code is grpc.StatusCode.CANCELLED


def silence(seconds: float) -> TidemillError:
    """Return the error for a server that sent nothing for this many seconds."""
    return DeadlineExceeded(
        grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", f"no answer within {seconds:g} s"
    )


def backoff_seconds(attempts: int) -> float:
    """Return the pause after some attempts, randomized so that callers do not retry together."""
    longest = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** (attempts - 1))
    return longest * random.uniform(0.8, 1.2)  # noqa: S311 -- not a secret
