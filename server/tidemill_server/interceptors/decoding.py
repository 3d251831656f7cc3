"""Messages that cannot be decoded: INVALID_ARGUMENT with the reason MALFORMED_MESSAGE.

Left alone, grpcio answers UNKNOWN before a servicer sees the call.
"""

from collections.abc import Callable
from typing import Any

from tidemill_core.errors import InvalidArgument


class _Malformed:
    """Stands in for a message that cannot be decoded."""


_MALFORMED = _Malformed()


def tolerant(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """A decoder that never fails; `checked` tells what it could not decode."""

    def decode_or_mark(message: bytes) -> Any:
        try:
            return message if decode is None else decode(message)
        except Exception:  # protobuf's DecodeError, and what else a decoder comes up with
            return _MALFORMED

    return decode_or_mark


def checked(message: Any) -> Any:
    """A message that was decoded.

    Raises:
        InvalidArgument: MALFORMED_MESSAGE.
    """
    if message is _MALFORMED:
        rule = "cannot be decoded: text must be UTF-8, and the message of the method's type"
        raise InvalidArgument("MALFORMED_MESSAGE", "message", rule)
    return message
