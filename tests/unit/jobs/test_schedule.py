"""When crontab expressions fire."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import ScheduleSettings
from tidemill_core.storage.storage import open_storage
from tidemill_jobs.schedule import Schedule, previous_fire_time, trigger_of

MINUTE = timedelta(minutes=1)


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
        ("0 0 29 2 *", "2024-03-01T00:00:00", "2024-02-29T00:00:00"),
    ],
)
def test_the_last_moment_is_found(expression: str, now: str, expected: str) -> None:
    """The last moment is the newest that is not after now, however rare moments are."""
    assert previous_fire_time(trigger_of(expression), _at(now)) == _at(expected)


@pytest.mark.parametrize("expression", ["* * * * *", "*/10 * * * *", "0 2 * * *", "0 0 1 1 *"])
def test_a_moment_counts_from_itself_on(expression: str) -> None:
    """At the exact moment it is the last one already; a microsecond before it is not."""
    moment = _at("2026-01-01T00:00:00") if "1 1" in expression else _at("2026-03-01T02:00:00")
    trigger = trigger_of(expression)
    assert previous_fire_time(trigger, moment) == moment
    before = previous_fire_time(trigger, moment - timedelta(microseconds=1))
    assert before is not None
    assert before < moment


def test_moments_over_a_year_ago_are_forgotten() -> None:
    """29 February is none to catch up on three years later."""
    assert previous_fire_time(trigger_of("0 0 29 2 *"), _at("2027-03-01T00:00:00")) is None


_numbers = st.sets(st.integers(0, 59), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    minutes=_numbers,
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=4),
    days=st.sets(st.integers(0, 6), min_size=1, max_size=7),
    now=st.datetimes(datetime(2023, 1, 1), datetime(2029, 1, 1)),
)
def test_a_walk_back_finds_the_same(
    minutes: set[int], hours: set[int], days: set[int], now: datetime
) -> None:
    """The last moment is where a walk back, minute by minute, first meets the expression."""
    parts = (",".join(map(str, part)) for part in (minutes, hours, days))
    expression = "{} {} * * {}".format(*parts)
    aware = now.replace(tzinfo=UTC)
    moment = aware.replace(second=0, microsecond=0)
    # A crontab's Sunday is 0; isoweekday's is 7.
    while not (
        moment.minute in minutes and moment.hour in hours and moment.isoweekday() % 7 in days
    ):
        moment -= MINUTE
    assert previous_fire_time(trigger_of(expression), aware) == moment


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
        ("*", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_days_of_the_week_count_from_sunday(days: str, weekdays: list[int]) -> None:
    """Numbers of days mean what crontab means by them: 0 and 7 are Sunday, 1 is Monday."""
    trigger = trigger_of(f"0 12 * * {days}")
    week = [_at("2026-03-02T12:00:00") + timedelta(days=n) for n in range(7)]
    assert [n for n, day in enumerate(week) if previous_fire_time(trigger, day) == day] == weekdays


@pytest.mark.parametrize(
    "expression",
    ["often", "* * * *", "60 * * * *", "* 24 * * *", "* * 32 * *", "* * * * 8", "* * * * 5-1",
     "0 0 30 2 *", "@daily", "* * * * * *", "-1 * * * *", "*/0 * * * *"],
)  # fmt: skip
def test_a_wrong_crontab_is_named(expression: str) -> None:
    """A wrong expression is refused when the process starts, with the setting's name."""
    storage = open_storage("sqlite://")
    wrong = ScheduleSettings(check_drift=expression)
    with pytest.raises(ConfigurationError, match=r"schedule\.check_drift: .* crontab"):
        Schedule(wrong, ["support"], storage, lambda: _at("2026-03-01T00:00:00"))
    storage.database.close()


def test_moments_are_utc_wherever_the_machine_is() -> None:
    """The machine's own zone moves no moment."""
    code = (
        "from datetime import datetime, UTC\n"
        "from tidemill_jobs.schedule import previous_fire_time, trigger_of\n"
        "now = datetime(2026, 7, 1, 12, tzinfo=UTC)\n"
        "print(previous_fire_time(trigger_of('0 2 * * *'), now).isoformat())\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"TZ": "America/New_York"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "2026-07-01T02:00:00+00:00"
