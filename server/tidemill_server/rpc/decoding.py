"""Messages that are missing, too large, or cannot be decoded."""

from google.protobuf.message import Message

from tidemill_core.errors import DeadlineExceeded, InvalidArgument, TidemillError

MESSAGE_SECONDS = 10.0
"""Time for the one message of a call to arrive, unless the caller's deadline is sooner."""


class MalformedMessage(InvalidArgument):
    """A call's message is missing, or cannot be decoded."""

    def __init__(self, rule: str) -> None:
        super().__init__("MALFORMED_MESSAGE", "message", rule)


class MessageTooLarge(TidemillError):
    """A message is larger than its method allows."""

    reason = "MESSAGE_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the message is larger than max, which is {limit} bytes for this method")


class MessageNotSent(DeadlineExceeded):
    """A call's one message did not arrive."""

    reason = "MESSAGE_NOT_SENT"

    def __init__(self) -> None:
        message = f"the call's message did not arrive within {MESSAGE_SECONDS:g} s"
        super(DeadlineExceeded, self).__init__(message)  # its own message is about an answer


def decoded(kind: type[Message], message: bytes) -> Message:
    """Return a message.

    Raises:
        MalformedMessage: it cannot be decoded.
    """
    try:
        return kind.FromString(message)
    except Exception as error:  # protobuf's DecodeError, and any other error of a decoder
        rule = "cannot be decoded; it must have the method's type, and its text must be UTF-8"
        raise MalformedMessage(rule) from error
