"""A helper and values for tests of rules."""

from collections.abc import Callable

from tidemill_core.errors import InvalidArgument

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"]


def reason(check: Callable[[], object]) -> str:
    """Return the reason with which a check refuses; empty if it does not."""
    try:
        check()
    except InvalidArgument as error:
        return error.reason
    return ""
