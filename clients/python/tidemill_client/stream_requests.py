"""The requests of `predict_stream`, which gRPC reads, and their errors."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field

from tidemill.v1.prediction_service_pb2 import StreamPredictRequest
from tidemill_client.errors import MessageTooLarge, TidemillError
from tidemill_client.requests import checked_size


@dataclass
class StreamErrors:
    """The errors of a stream's requests.

    Attributes:
        of_items: the errors of requests that are too large, by number.
        end: the error that ended the caller's requests; None if they ended by themselves.
    """

    of_items: dict[int, TidemillError] = field(default_factory=dict)
    end: Exception | None = None

    def raise_end(self) -> None:
        """Raise the error that ended the requests, if there is one."""
        if self.end is not None:
            raise self.end


def sendable(
    requests: Iterable[StreamPredictRequest], errors: StreamErrors
) -> Iterator[StreamPredictRequest]:
    """Yield a stream's requests, with an empty one in place of each that is too large.

    An error of the caller's iterable ends the stream, because gRPC, which reads it, would hide the
    error.

    Args:
        requests: the caller's requests.
        errors: gets the errors.
    """
    try:
        for number, request in enumerate(requests):
            yield _or_empty(number, request, errors.of_items)
    except Exception as error:  # any error of the caller's code
        errors.end = error


async def sendable_async(
    requests: AsyncIterable[StreamPredictRequest], errors: StreamErrors
) -> AsyncIterator[StreamPredictRequest]:
    """See `sendable`."""
    number = 0
    try:
        async for request in requests:
            yield _or_empty(number, request, errors.of_items)
            number += 1
    except Exception as error:  # any error of the caller's code
        errors.end = error


def _or_empty(
    number: int, request: StreamPredictRequest, errors: dict[int, TidemillError]
) -> StreamPredictRequest:
    if not isinstance(request, StreamPredictRequest):
        kind = type(request).__name__
        raise TypeError(f"requests[{number}] is a {kind}; it must be a StreamPredictRequest")
    try:
        return checked_size(request, request.id)
    except MessageTooLarge as error:
        errors[number] = error
        return StreamPredictRequest(id=request.id)
