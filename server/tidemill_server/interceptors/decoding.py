"""Messages that cannot be decoded, or never arrive.

By itself, grpcio answers UNKNOWN to the former before a servicer sees the call. It never answers a
caller that half-closes before its one message, or that never sends it.
"""

from collections.abc import Callable
from typing import Any

import grpc.aio

from tidemill_core.errors import DeadlineExceeded, InvalidArgument

MESSAGE_SECONDS = 10.0
"""Time for the one message of a call to arrive, unless the caller's deadline is sooner."""


class _Malformed:
    """Stands in for a message that cannot be decoded."""


_MALFORMED = _Malformed()


class MalformedMessage(InvalidArgument):
    """A call's message is missing, or cannot be decoded."""

    def __init__(self, rule: str) -> None:
        super().__init__("MALFORMED_MESSAGE", "message", rule)


class MessageNotSent(DeadlineExceeded):
    """A call's one message did not arrive."""

    reason = "MESSAGE_NOT_SENT"

    def __init__(self) -> None:
        message = f"the call's message did not arrive within {MESSAGE_SECONDS:g} s"
        super(DeadlineExceeded, self).__init__(message)  # its own message is about an answer


def tolerant(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """Return a decoder that never fails; `checked` raises for what it cannot decode."""

    def decode_or_mark(message: bytes) -> Any:
        try:
            return message if decode is None else decode(message)
        except Exception:  # protobuf's DecodeError, and any other error of a decoder
            return _MALFORMED

    return decode_or_mark


def checked(message: Any) -> Any:
    """Return a message.

    Raises:
        MalformedMessage: it did not arrive or could not be decoded.
    """
    if message is _MALFORMED:
        rule = "cannot be decoded; it must have the method's type, and its text must be UTF-8"
        raise MalformedMessage(rule)
    if message is grpc.aio.EOF:
        rule = "is missing; the method takes one, but the call was half-closed without it"
        raise MalformedMessage(rule)
    return message
