"""Conversion of a database's cursor values to the watermark and back."""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tidemill_jobs.data.sources.raw_rows import is_utf8

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
    """Return a value as JSON for the watermark.

    Raises:
        TypeError: its type cannot be a cursor or a key.
    """
    if isinstance(value, str) and not is_utf8(value):
        raise TypeError("text that is not UTF-8")
    if isinstance(value, float | Decimal) and math.isnan(value):
        raise TypeError("NaN")
    if isinstance(value, str | int | float):
        return value
    name = _NAMES.get(type(value))
    if name is None:
        raise TypeError(type(value).__name__)
    return {name: value.isoformat() if isinstance(value, date) else str(value)}


def from_json(value: Any) -> Any:
    """Return the value that the watermark's JSON stands for."""
    if not isinstance(value, dict):
        return value
    ((name, text),) = value.items()
    return _READERS[name](text)
