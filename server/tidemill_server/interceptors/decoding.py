"""Messages that cannot be decoded, or never come.

Left alone, grpcio answers UNKNOWN to the first before a servicer sees the call, and nothing at all
to a caller that half-closes where one message is due, or sends nothing for ever.
"""

from collections.abc import Callable
from typing import Any

import grpc.aio

from tidemill_core.errors import DeadlineExceeded, InvalidArgument

MESSAGE_SECONDS = 10.0
"""For the one message of a call to come; where the caller's deadline is sooner, that holds."""


class _Malformed:
    """Stands in for a message that cannot be decoded."""


_MALFORMED = _Malformed()


class MalformedMessage(InvalidArgument):
    """A call's message is missing, or cannot be decoded."""

    def __init__(self, rule: str) -> None:
        super().__init__("MALFORMED_MESSAGE", "message", rule)


class MessageNotSent(DeadlineExceeded):
    """A call was opened, and its one message did not come."""

    reason = "MESSAGE_NOT_SENT"

    def __init__(self) -> None:
        message = f"the call's message did not come within {MESSAGE_SECONDS:g} s"
        super(DeadlineExceeded, self).__init__(message)  # whose own words are about an answer


def tolerant(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """A decoder that never fails; `checked` tells what it could not decode."""

    def decode_or_mark(message: bytes) -> Any:
        try:
            return message if decode is None else decode(message)
        except Exception:  # protobuf's DecodeError, and what else a decoder comes up with
            return _MALFORMED

    return decode_or_mark


def checked(message: Any) -> Any:
    """A message that came and was decoded.

    Raises:
        MalformedMessage: it did not, or could not be.
    """
    if message is _MALFORMED:
        rule = "cannot be decoded: text must be UTF-8, and the message of the method's type"
        raise MalformedMessage(rule)
    if message is grpc.aio.EOF:
        rule = "is missing: the method takes one, and the call was half-closed without it"
        raise MalformedMessage(rule)
    return message
