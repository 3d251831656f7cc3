"""Times, by one rule for files, databases and APIs."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from tidemill_jobs.data.sources.times import as_time

_NOVEMBER = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
_HALF = _NOVEMBER.replace(microsecond=500_000)
_JANUARY = datetime(2021, 1, 31, 19, 58, 32, 30_000, tzinfo=UTC)
_MARCH = datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)
_LAST_SECOND = datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)
_DAY = datetime(2026, 1, 2, tzinfo=UTC)
_NOON = _DAY.replace(hour=12)


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("1700000000", _NOVEMBER),
        (" +1700000000 ", _NOVEMBER),
        ("1700000000.5", _HALF),
        ("1.7e9", _NOVEMBER),
        ("1700000000000", _NOVEMBER),
        ("1700000000500.0", _HALF),
        ("1612123112030", _JANUARY),
        ("1612123112030000", _JANUARY),
        ("1612123112030000999", _JANUARY),
        ("99999999999", _LAST_SECOND),
        ("100000000000", _MARCH),
        ("99999999999000", _LAST_SECOND),
        ("100000000000000", _MARCH),
        ("99999999999000000", _LAST_SECOND),
        ("100000000000000000", _MARCH),
        ("0", datetime(1970, 1, 1, tzinfo=UTC)),
        ("-1", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("20260102", _DAY),
        ("20260102.0", _DAY),
        ("202601021200", _NOON),
        ("20260102120000", _NOON),
    ],
)
def test_digits_are_the_same_as_text_and_as_a_number(value: str, time: datetime) -> None:
    """The size decides between units since 1970 and a day in digits."""
    assert as_time(value) == time
    assert as_time(Decimal(value.strip())) == time
    if "." not in value and "e" not in value:
        assert as_time(int(value)) == time
    elif len(value) < 17:
        assert as_time(float(value)) == time


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-02T12:00:00Z",
        "2026-01-02T12:00:00",
        "2026-01-02 12:00",
        "2026-01-02t13:00:00.000000000+01:00",
        "2026-01-02 17:30:00+05:30",
        "20260102T120000Z",
        "2026-W01-5T12:00",
        _NOON,
        _NOON.replace(tzinfo=None),
    ],
)
def test_iso_8601_is_read_with_and_without_a_zone(value: object) -> None:
    """A time without a zone is in UTC."""
    assert as_time(value) == _NOON


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_time_is_none(value: object) -> None:
    """An empty field is a missing time."""
    assert as_time(value) is None


def test_a_day_begins_at_midnight() -> None:
    """A date, as a value or text, is its midnight in UTC."""
    assert as_time(date(2026, 1, 2)) == as_time("2026-01-02") == _DAY


@pytest.mark.parametrize(
    "value",
    [
        *("noon", "yesterday", "2026-13-01", "2026-01-02x12:00", "01/02/2026", "12:00", "nan"),
        *("1612123112030,5", "1_700_000_000", "\u0661\u0667\u0660", "9" * 30, "1e30", "1e-400"),
        *("2026", "202611", 2026, 202611.0, "0001-01-01T00:00:00+14:00"),
        *("20260230", 20261301, 20260230.0, "20260230120000", 20260102246060),
        *(float("nan"), float("inf"), 1e300, 10**400, True, [], {}, Decimal("NaN")),
    ],
)
def test_what_cannot_be_a_time_is_not_guessed(value: object) -> None:
    """All invalid times raise ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        as_time(value)
