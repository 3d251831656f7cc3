"""A database's cursor values, to the watermark and back."""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

_NAMES: Mapping[type, str] = {
    datetime: "datetime",
    date: "date",
    Decimal: "decimal",
    UUID: "uuid",
}
_READERS: Mapping[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "uuid": UUID,
}


def to_json(value: Any) -> Any:
    """A value as the watermark keeps it.

    Raises:
        TypeError: it has none of the types that a cursor or a key may have.
    """
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise TypeError("text that is not UTF-8") from error
    if isinstance(value, float | Decimal) and math.isnan(value):
        raise TypeError("NaN")
    if isinstance(value, str | int | float):
        return value
    name = _NAMES.get(type(value))
    if name is None:
        raise TypeError(type(value).__name__)
    return {name: value.isoformat() if isinstance(value, date) else str(value)}


def from_json(value: Any) -> Any:
    """A value that the watermark kept."""
    if not isinstance(value, dict):
        return value
    ((name, told),) = value.items()
    return _READERS[name](told)
