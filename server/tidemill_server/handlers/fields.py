"""The rules that fields of more than one service keep."""

from tidemill_core.errors import InvalidArgument
from tidemill_core.text import is_blank

MAX_KEY_LENGTH = 200
MAX_COMMENT_LENGTH = 2000
_ALLOWED_CONTROLS = "\t\n\r"
_CONTROLS = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - set(_ALLOWED_CONTROLS)


def check_text(field: str, text: str, max_length: int) -> None:
    """Check a text of a task.

    Raises:
        InvalidArgument: it is blank, too long, or has control characters.
    """
    if len(text) > max_length:
        rule = f"has {len(text)} characters; the task's limit is {max_length}"
        raise InvalidArgument("TEXT_TOO_LONG", field, rule)
    _check_controls(field, text)
    _check_not_blank(field, text)


def check_words(field: str, value: str, max_length: int) -> None:
    """Check a caller's own string.

    Raises:
        InvalidArgument: it is too long, or has control characters.
    """
    if len(value) > max_length:
        rule = f"has {len(value)} characters; the limit is {max_length}"
        raise InvalidArgument("VALUE_TOO_LONG", field, rule)
    _check_controls(field, value)


def check_visible(field: str, value: str, max_length: int) -> None:
    """Check a caller's own string that must not be blank.

    Raises:
        InvalidArgument: it is blank, too long, or has control characters.
    """
    check_words(field, value, max_length)
    _check_not_blank(field, value)


def _check_controls(field: str, value: str) -> None:
    if value.isprintable():  # the common case, in C
        return
    found = next((character for character in value if character in _CONTROLS), None)
    if found is not None:
        rule = f"has the control character U+{ord(found):04X}"
        raise InvalidArgument("CONTROL_CHARACTERS", field, rule)


def _check_not_blank(field: str, value: str) -> None:
    if is_blank(value):
        raise InvalidArgument("BLANK_TEXT", field, "is empty, or nothing in it can be seen")
