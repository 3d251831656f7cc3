"""What callers ask, and the rules that it must keep before any work is done."""

from collections.abc import Mapping
from typing import NamedTuple

from tidemill_core.errors import InvalidArgument
from tidemill_core.text import is_blank

UNARY_METHOD = "Predict"
MAX_BATCH_TEXTS = 1024
MAX_KEY_LENGTH = 200
MAX_COMMENT_LENGTH = 2000
MAX_ATTRIBUTES = 16
_ALLOWED_CONTROLS = "\t\n\r"
_CONTROLS = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - set(_ALLOWED_CONTROLS)


class Query(NamedTuple):
    """One caller's question: the same for all texts of a batch.

    Attributes:
        task: the task to ask.
        method: the RPC, as predictions are written down.
        deadline: on the event loop's clock, in seconds; after it nobody waits.
        arrival: when it came, on the same clock.
        top_k: how many scores to return; 0 means 1.
        model_version: the version to ask; 0 lets the router choose.
        request_id: the caller's.
        routing_key: the caller's.
        attributes: the caller's.
    """

    task: str
    method: str
    deadline: float
    arrival: float
    top_k: int = 0
    model_version: int = 0
    request_id: str = ""
    routing_key: str = ""
    attributes: Mapping[str, str] | None = None


def check_query(query: Query) -> None:
    """Check all that does not depend on the text.

    Raises:
        InvalidArgument: names the field and the rule.
    """
    if query.top_k < 0:
        raise InvalidArgument("INVALID_TOP_K", "top_k", f"{query.top_k} is negative")
    if query.model_version < 0:
        rule = f"{query.model_version} is negative; 0 lets the router choose"
        raise InvalidArgument("UNKNOWN_MODEL_VERSION", "model_version", rule)
    check_words("request_id", query.request_id, MAX_KEY_LENGTH)
    check_words("routing_key", query.routing_key, MAX_KEY_LENGTH)
    if query.attributes:
        _check_attributes(query.attributes)


def check_text(text: str, field: str, max_length: int) -> None:
    """Check a text to be predicted.

    Raises:
        InvalidArgument: it is blank, too long, or has control characters.
    """
    if len(text) > max_length:
        rule = f"has {len(text)} characters; the task's limit is {max_length}"
        raise InvalidArgument("TEXT_TOO_LONG", field, rule)
    _check_controls(field, text)
    if is_blank(text):
        raise InvalidArgument("BLANK_TEXT", field, "is empty, or nothing in it can be seen")


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
    if is_blank(value):
        raise InvalidArgument("BLANK_TEXT", field, "is empty, or nothing in it can be seen")


def check_batch_size(count: int) -> None:
    """Check how many texts a batch has.

    Raises:
        InvalidArgument: none, or more than MAX_BATCH_TEXTS.
    """
    if not count:
        raise InvalidArgument("EMPTY_BATCH", "texts", "has no texts")
    if count > MAX_BATCH_TEXTS:
        rule = f"has {count} texts; the limit is {MAX_BATCH_TEXTS}"
        raise InvalidArgument("BATCH_TOO_LARGE", "texts", rule)


def _check_attributes(attributes: Mapping[str, str]) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        rule = f"has {len(attributes)} entries; the limit is {MAX_ATTRIBUTES}"
        raise InvalidArgument("TOO_MANY_ATTRIBUTES", "attributes", rule)
    for name, value in attributes.items():
        check_words("attributes", name, MAX_KEY_LENGTH)
        check_words(f"attributes[{name}]", value, MAX_KEY_LENGTH)


def _check_controls(field: str, value: str) -> None:
    if value.isprintable():  # the common case, in C
        return
    found = next((character for character in value if character in _CONTROLS), None)
    if found is not None:
        rule = f"has the control character U+{ord(found):04X}"
        raise InvalidArgument("CONTROL_CHARACTERS", field, rule)
