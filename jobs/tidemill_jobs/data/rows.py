"""Values that broke a rule, as they are kept."""

MAX_VALUE_LENGTH = 200


def printable(value: str) -> str:
    """A value, cut to MAX_VALUE_LENGTH characters and made fit to be stored as UTF-8."""
    encoded = value[:MAX_VALUE_LENGTH].encode(errors="backslashreplace")
    return encoded.decode()[:MAX_VALUE_LENGTH]
