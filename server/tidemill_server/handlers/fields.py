"""Rules for fields that several services share."""

from tidemill_core.errors import InvalidArgument
from tidemill_core.text import HAS_CONTROLS, IS_BLANK, is_blank
from tidemill_core.text_rules import BLANK_RULE, controls_problem, text_problem

MAX_KEY_LENGTH = 200
MAX_COMMENT_LENGTH = 2000


class InvalidMaxItems(InvalidArgument):
    """A number of items that cannot be asked for."""

    def __init__(self, rule: str) -> None:
        super().__init__("INVALID_MAX_ITEMS", "max_items", rule)


def check_text(field: str, text: str, max_length: int) -> None:
    """Check a text of a task after repairing it, as a build does.

    Raises:
        InvalidArgument: it is blank, too long, or has control characters.
    """
    if (found := text_problem(text, max_length)) is not None:
        reason, rule = found
        raise InvalidArgument(reason, field, rule)


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
    if (rule := controls_problem(value)) is not None:
        raise InvalidArgument(HAS_CONTROLS, field, rule)


def _check_not_blank(field: str, value: str) -> None:
    if is_blank(value):
        raise InvalidArgument(IS_BLANK, field, BLANK_RULE)
