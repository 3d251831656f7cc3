"""Rules for fields that several services share."""

from tidemill_core.errors import InvalidArgument
from tidemill_core.text import HAS_CONTROLS, IS_BLANK, IS_TOO_LONG, control_character, is_blank
from tidemill_core.text_repair import longest_raw_length, repair

MAX_KEY_LENGTH = 200
MAX_COMMENT_LENGTH = 2000


def check_text(field: str, text: str, max_length: int) -> None:
    """Check a text of a task after repairing it, as a build does.

    Raises:
        InvalidArgument: it is blank, too long, or has control characters.
    """
    # In a printable text within the limit, a repair changes nothing that a rule checks.
    if not text.isprintable() or len(text) > max_length:
        if len(text) > longest_raw_length(max_length):
            raise _too_long(field, text, max_length)
        text = repair(text)
    _check_controls(field, text)
    _check_not_blank(field, text)
    if len(text) > max_length:
        raise _too_long(field, text, max_length)


def _too_long(field: str, text: str, max_length: int) -> InvalidArgument:
    rule = f"has {len(text)} characters; the task's limit is {max_length}"
    return InvalidArgument(IS_TOO_LONG, field, rule)


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
    found = control_character(value)
    if found is not None:
        rule = f"has the control character U+{ord(found):04X}"
        raise InvalidArgument(HAS_CONTROLS, field, rule)


def _check_not_blank(field: str, value: str) -> None:
    if is_blank(value):
        raise InvalidArgument(IS_BLANK, field, "is empty or has no visible characters")
