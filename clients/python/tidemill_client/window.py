"""The bookkeeping of `predict_many`: what is asked, answered, and to be asked again.

Without any input or output of its own, so that both clients share it.
"""

import random
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
    """What all texts of one run have in common; as in `TidemillClient.predict`."""

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
    """The texts that were read and not given back yet, in their order; never more than `size`.

    Args:
        question: what they have in common.
        size: how many, at least 1.
    """

    def __init__(self, question: Question, size: int) -> None:
        if size < 1:
            raise ValueError(f"window is {size}; it must be at least 1")
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
        """Whether every text that was read has been given back."""
        return not self._items

    def add(self, text: str) -> StreamPredictRequest | None:
        """Take a text, and return what is to be sent; None if the text's error is its result."""
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
        """Note an answer. An error that may pass is asked about again later."""
        item = self._by_id.get(response.id)
        if item is None or item.result is not None:
            return  # answered already
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
        """Give an error on size to the requests that are too large; False if there are none."""
        limit = error.limit_bytes if isinstance(error, MessageTooLarge) else None
        sent = [] if limit is None else [one for one in self._items if one.result is None]
        large = [item for item in sent if item.request.ByteSize() > (limit or 0)]
        for item in large:
            item.result = error
        return bool(large)

    def answered(self) -> Iterator[Result]:
        """Give back the results that are next in order, as far as they are there."""
        while self._items and (result := self._items[0].result) is not None:
            del self._by_id[self._items.popleft().request.id]
            yield result

    def due(self, now: float) -> Iterator[StreamPredictRequest]:
        """What is to be sent again by now."""
        ready = [
            item for item in self._put_off if item.retry_at is not None and item.retry_at <= now
        ]
        for item in ready:
            self._put_off.remove(item)
            item.retry_at = None
            yield item.request

    def next_retry(self) -> float | None:
        """When something is to be sent again; None where nothing is."""
        moments = (item.retry_at for item in self._put_off if item.retry_at is not None)
        return min(moments, default=None)

    def unanswered(self) -> Iterator[StreamPredictRequest]:
        """What a new stream must ask, the old one being lost."""
        for item in self._items:
            if item.result is None and item.retry_at is None:
                yield item.request


def is_passing(error: TidemillError) -> bool:
    """Whether a stream that was lost for this reason is worth opening again."""
    # A server that is stopped cancels what is under way.
    return error.code in RETRIED_CODES or error.code is grpc.StatusCode.CANCELLED


def silence(seconds: float) -> TidemillError:
    """The error for a server that said nothing for so long."""
    return DeadlineExceeded(
        grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", f"no answer within {seconds:g} s"
    )


def backoff_seconds(attempts: int) -> float:
    """The pause after so many attempts, spread so that callers do not come back together."""
    longest = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** (attempts - 1))
    return longest * random.uniform(0.8, 1.2)  # noqa: S311 -- guards nothing
