"""Parsing of times, by one rule for all sources.

A time is ISO 8601 with at least a day; without a zone it is in UTC. Digits, as a number or as text,
are a day (`20260102`), a day and time (`202601021200`, `20260102120000`), or the time since 1970:
seconds below 10**11, otherwise milliseconds below 10**14, microseconds below 10**17 and nanoseconds
below 10**20. A count of milliseconds is therefore read correctly from March 1973 on. Four or six
digits that could be a year or a month are not a time, nor are eight or fourteen that look like a
day of 1900 to 2099 which does not exist.
"""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

_ISO = re.compile(r"(\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(-?\d)?)([Tt ]\S.*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,20}(\.\d*)?(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
_CALENDAR = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_YEAR_OR_MONTH = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])?", re.ASCII)
_CENTURIES = ("19", "20")
_NEVER_COUNTS = (8, 14)
"""Digits of the calendar forms which, as a count, would be a time in 1970 or after 2570."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_time(value: object) -> datetime | None:
    """Return the time in UTC; None if the value is missing.

    Raises:
        ValueError: the value is not a time.
    """
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    try:
        time = _written(value) if isinstance(value, str) else _typed(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (OverflowError, InvalidOperation) as error:
        raise ValueError("outside the years 1 to 9999") from error


def units_per_second(number: float | Decimal) -> int:
    """Return the units of a count since 1970 by its size: 1 for seconds, 1000 for milliseconds.

    Raises:
        ValueError: the count is too large for a time.
    """
    for digits, units in ((11, 1), (14, 10**3), (17, 10**6), (20, 10**9)):
        if abs(number) < 10**digits:
            return units
    raise ValueError("too large for a time")


def calendar_form(digits: str) -> str | None:
    """Return the form of digits that are a day, or a day and time; None for a count since 1970."""
    form = _CALENDAR.get(len(digits))
    if form is None or not (digits.isdecimal() and digits.startswith(_CENTURIES)):
        return None
    try:
        datetime.strptime(digits, form)
    except ValueError:
        return None
    return form


def _written(value: str) -> datetime:
    if _ISO.fullmatch(value):
        return datetime.fromisoformat(value.upper())
    return _counted(value)


def _typed(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _counted(str(value))
    raise ValueError(f"{type(value).__name__} is not a time")


def _counted(written: str) -> datetime:
    """Return the time that a number stands for."""
    if not _NUMBER.fullmatch(written):
        raise ValueError("neither ISO 8601 nor a number that can be a time")
    number = Decimal(written)
    digits = f"{number:.0f}" if number == number.to_integral_value() else ""
    if _YEAR_OR_MONTH.fullmatch(digits):
        raise ValueError("a year or a month, not a time")
    if (form := calendar_form(digits)) is not None:
        return datetime.strptime(digits, form)
    if len(digits) in _NEVER_COUNTS and digits.startswith(_CENTURIES):
        raise ValueError("a day or a time of day that does not exist")
    return _EPOCH + timedelta(microseconds=int(number * 10**6 / units_per_second(number)))
