"""The fire times of crontab expressions."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill_jobs.schedule import CrontabTrigger

MINUTE = timedelta(minutes=1)


def _fire_times(expression: str, start: datetime, end: datetime) -> list[datetime]:
    """Return the fire times after `start`, up to `end`, as APScheduler asks for them."""
    trigger, moments = CrontabTrigger(expression), []
    moment = trigger.get_next_fire_time(None, start)
    while moment is not None and moment <= end:
        moments.append(moment)
        moment = trigger.get_next_fire_time(moment, end)
    return moments


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    [
        ("* * * * *", "2026-03-01T12:00:30", "2026-03-01T12:00:00"),
        ("*/10 * * * *", "2026-03-01T12:09:59", "2026-03-01T12:00:00"),
        ("0 2 * * *", "2026-03-01T01:59:59", "2026-02-28T02:00:00"),
        ("0 2 * * *", "2026-03-01T02:00:00.003", "2026-03-01T02:00:00"),
        ("30 4 * * 1", "2026-03-01T00:00:00", "2026-02-23T04:30:00"),
        ("0 0 1 * *", "2026-02-28T23:59:59", "2026-02-01T00:00:00"),
        ("0 0 31 * *", "2026-03-15T00:00:00", "2026-01-31T00:00:00"),
        ("0 0 1 1 *", "2026-12-31T23:59:00", "2026-01-01T00:00:00"),
        ("0 0 29 2 *", "2027-03-01T00:00:00", "2024-02-29T00:00:00"),
    ],
)
def test_the_last_moment_is_found(expression: str, now: str, expected: str) -> None:
    """The last fire time is the newest that is not after now, however rare they are."""
    assert CrontabTrigger(expression).last_fire_time(_at(now)) == _at(expected)


@pytest.mark.parametrize("expression", ["* * * * *", "*/10 * * * *", "0 2 * * *", "0 0 1 1 *"])
def test_a_moment_counts_from_itself_on(expression: str) -> None:
    """A fire time counts from itself on, and not a microsecond earlier."""
    moment = _at("2026-01-01T00:00:00") if "1 1" in expression else _at("2026-03-01T02:00:00")
    trigger = CrontabTrigger(expression)
    assert trigger.last_fire_time(moment) == moment
    before = trigger.last_fire_time(moment - timedelta(microseconds=1))
    assert before is not None
    assert before < moment


_numbers = st.sets(st.integers(0, 59), min_size=1, max_size=4)


@settings(max_examples=60)
@given(
    minutes=_numbers,
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=4),
    days=st.sets(st.integers(0, 6), min_size=1, max_size=7),
    now=st.datetimes(datetime(2023, 1, 1), datetime(2029, 1, 1)),
)
def test_a_walk_back_finds_the_same(
    minutes: set[int], hours: set[int], days: set[int], now: datetime
) -> None:
    """A walk back, minute by minute, finds the same last fire time."""
    parts = (",".join(map(str, part)) for part in (minutes, hours, days))
    expression = "{} {} * * {}".format(*parts)
    aware = now.replace(tzinfo=UTC)
    moment = aware.replace(second=0, microsecond=0)
    # A crontab's Sunday is 0; isoweekday's is 7.
    while not (
        moment.minute in minutes and moment.hour in hours and moment.isoweekday() % 7 in days
    ):
        moment -= MINUTE
    assert CrontabTrigger(expression).last_fire_time(aware) == moment


@pytest.mark.parametrize(
    ("days", "weekdays"),
    [
        ("0", [6]),
        ("7", [6]),
        ("1-5", [0, 1, 2, 3, 4]),
        ("0-6", [0, 1, 2, 3, 4, 5, 6]),
        ("5-7", [4, 5, 6]),
        ("0-4", [0, 1, 2, 3, 6]),
        ("*/2", [1, 3, 5, 6]),
        ("1-5/2", [0, 2, 4]),
        ("mon,6", [0, 5]),
        ("MON-wed", [0, 1, 2]),
        ("fri-7", [4, 5, 6]),
        ("*", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_days_of_the_week_count_from_sunday(days: str, weekdays: list[int]) -> None:
    """Days have crontab's numbers: 0 and 7 are Sunday, 1 is Monday."""
    week = [_at("2026-03-02T12:00:00") + timedelta(days=n) for n in range(7)]
    fired = _fire_times(f"0 12 * * {days}", week[0] - MINUTE, week[-1])
    assert [n for n, day in enumerate(week) if day in fired] == weekdays


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("13 * fri", [2, 9, 13, 16, 23, 30]),
        ("13 * 5", [2, 9, 13, 16, 23, 30]),
        ("1-3 * mon", [1, 2, 3, 5, 12, 19, 26]),
        ("*/2 * fri", [9, 23]),
        ("13 * *", [13]),
        ("* * fri", [2, 9, 16, 23, 30]),
        ("L * *", [31]),
        ("* * fri#2", [9]),
    ],
)
def test_days_of_the_month_and_of_the_week(days: str, expected: list[int]) -> None:
    """Either day fires, as in crontab; if one begins with a star, both must match."""
    october = _fire_times(f"0 9 {days}", _at("2026-10-01T00:00:00"), _at("2026-10-31T23:59:59"))
    assert [moment.day for moment in october] == expected
    assert {moment.hour for moment in october} == {9}


def test_moments_are_utc_wherever_the_machine_is() -> None:
    """The time zone of the machine does not matter."""
    code = (
        "from datetime import datetime, UTC\n"
        "from tidemill_jobs.schedule import CrontabTrigger\n"
        "now = datetime(2026, 7, 1, 12, tzinfo=UTC)\n"
        "print(CrontabTrigger('0 2 * * *').last_fire_time(now).isoformat())\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"TZ": "America/New_York"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "2026-07-01T02:00:00+00:00"
