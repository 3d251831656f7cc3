"""Messages that cannot be decoded, or never come: INVALID_ARGUMENT, MALFORMED_MESSAGE.

Left alone, grpcio answers UNKNOWN to the first before a servicer sees the call, and nothing at all
to a caller that half-closes where one message is due.
"""

from collections.abc import Callable
from typing import Any

import grpc.aio

from tidemill_core.errors import InvalidArgument


class _Malformed:
    """Stands in for a message that cannot be decoded, or that never came."""


_MALFORMED = _Malformed()
_MISSING = _Malformed()


def tolerant(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """A decoder that never fails; `checked` tells what it could not decode."""

    def decode_or_mark(message: bytes) -> Any:
        try:
            return message if decode is None else decode(message)
        except Exception:  # protobuf's DecodeError, and what else a decoder comes up with
            return _MALFORMED

    return decode_or_mark


async def only_message(context: Any) -> Any:
    """The message of a call that has one; `checked` tells that it never came."""
    message = await context.read()
    return _MISSING if message is grpc.aio.EOF else message


def checked(message: Any) -> Any:
    """A message that was decoded.

    Raises:
        InvalidArgument: MALFORMED_MESSAGE.
    """
    if message is _MALFORMED:
        rule = "cannot be decoded: text must be UTF-8, and the message of the method's type"
        raise InvalidArgument("MALFORMED_MESSAGE", "message", rule)
    if message is _MISSING:
        rule = "is missing: the method takes one, and the call was half-closed without it"
        raise InvalidArgument("MALFORMED_MESSAGE", "message", rule)
    return message
