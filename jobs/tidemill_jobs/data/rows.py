"""What sets a row aside looks like."""

from tidemill_core.domain.example import QuarantinedRow

MAX_VALUE_LENGTH = 200


def set_aside(origin: str, rule: str, value: str, key: str = "") -> QuarantinedRow:
    """A row that goes no further; its value is cut, and made fit to be stored as UTF-8."""
    printable = value[:MAX_VALUE_LENGTH].encode(errors="backslashreplace").decode()
    return QuarantinedRow(origin, rule, printable[:MAX_VALUE_LENGTH], key)
