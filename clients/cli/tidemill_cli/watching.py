"""Streams that a command follows, however often the server's workers are replaced."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tidemill_client import TidemillError, translated_errors

ResponseT = TypeVar("ResponseT")


def watched(open_stream: Callable[[], Iterable[ResponseT]]) -> Iterator[ResponseT]:
    """Yield a stream's responses; open it again whenever the worker that serves it retires.

    Args:
        open_stream: opens the stream, whose first response is the state at that time.

    Raises:
        TidemillError: the stream failed for another reason, or no other worker serves it.
    """
    while True:
        answered = False
        try:
            with translated_errors():
                for response in open_stream():
                    answered = True
                    yield response
            return
        except TidemillError as error:
            if error.reason != "SHUTTING_DOWN" or not answered:
                raise
