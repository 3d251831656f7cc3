"""Conversion of a database's cursor values to the watermark and back."""

import math
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tidemill_jobs.data.sources.raw_rows import is_utf8

_TYPES: Mapping[str, Any] = {"datetime": datetime, "date": date, "decimal": Decimal, "uuid": UUID}


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
    for name, kind in _TYPES.items():
        if type(value) is kind:
            return {name: value.isoformat() if isinstance(value, date) else str(value)}
    raise TypeError(type(value).__name__)


def from_json(value: Any) -> Any:
    """Return the value that the watermark's JSON stands for."""
    if not isinstance(value, dict):
        return value
    ((name, text),) = value.items()
    kind = _TYPES[name]
    return kind.fromisoformat(text) if issubclass(kind, date) else kind(text)
