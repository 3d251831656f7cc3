"""The start of a read with an overlap, for rows and items that appear late."""

import math
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tidemill_jobs.data.sources.times import calendar_form, units_per_second

_ISO = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d|\d{8}(?=[Tt ]))"
    r"((?P<sign>[Tt ])(?P<clock>\d\d(:?\d\d){0,2})((?P<point>[.,])(?P<fraction>\d+))?"
    r"(?P<zone> ?([Zz]|[+-]\d\d(:?\d\d)?))?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"\d{1,20}(\.\d*)?", re.ASCII)
_CLOCKS = ("hours", "minutes", "seconds")
_SECONDS_PER_DAY = 86_400


def before(value: Any, overlap: float, is_time: bool) -> Any:
    """Return the value that lies `overlap` before another, in the same type and form.

    Args:
        value: a number, a time, or a time as ISO 8601 text.
        overlap: seconds before a time; units before a number.
        is_time: whether a number counts the time since 1970.

    Raises:
        TypeError: the value has no such earlier value.
    """
    try:
        return _before(value, overlap, is_time)
    except (OverflowError, ValueError) as error:
        raise TypeError(f"{value!r}, and has no value {overlap:g} before it") from error


def _before(value: Any, overlap: float, is_time: bool) -> Any:
    if isinstance(value, str):
        return _text_before(value, overlap, is_time)
    if isinstance(value, datetime):
        return value - timedelta(seconds=overlap)
    if isinstance(value, date):
        return value - timedelta(days=math.ceil(overlap / _SECONDS_PER_DAY))
    if not isinstance(value, int | float | Decimal):
        raise TypeError(type(value).__name__)
    if is_time and isinstance(value, int) and (form := calendar_form(str(value))) is not None:
        moment = datetime.strptime(str(value), form)
        day = moment.date() if len(str(value)) == len("20260102") else moment
        return int(f"{_before(day, overlap, is_time):{form}}")
    units = overlap * (units_per_second(value) if is_time else 1)
    if isinstance(value, Decimal):
        return value - Decimal(units)
    return value - (math.ceil(units) if isinstance(value, int) else units)


def _text_before(value: str, overlap: float, is_time: bool) -> str:
    if is_time and _NUMBER.fullmatch(value):
        number = int(value) if value.isdecimal() else Decimal(value)
        # Zeros keep the order of digits that are compared as text.
        return str(_before(number, overlap, is_time)).zfill(len(value))
    found = _ISO.fullmatch(value)
    if found is None:
        raise TypeError("text")
    if found["clock"] is None:
        return str(_before(date.fromisoformat(value), overlap, is_time).isoformat())
    return _clock_before(found, overlap)


def _clock_before(found: re.Match[str], overlap: float) -> str:
    """Return the time `overlap` seconds before one with a clock, in its form."""
    clock, fraction = found["clock"], found["fraction"]
    local = f"{found['day']} {clock}" + (f".{fraction}" if fraction else "")
    moment = datetime.fromisoformat(local) - timedelta(seconds=overlap)
    # Digits are cut off, so the text is never later than the moment.
    precision = _CLOCKS[len(clock.replace(":", "")) // 2 - 1]
    day, _, time = moment.isoformat(" ", precision).partition(" ")
    text = day if "-" in found["day"] else day.replace("-", "")
    text += found["sign"] + (time if ":" in clock else time.replace(":", ""))
    if fraction:
        digits = f"{moment.microsecond:06}".ljust(len(fraction), "0")[: len(fraction)]
        text += found["point"] + digits
    return text + (found["zone"] or "")
