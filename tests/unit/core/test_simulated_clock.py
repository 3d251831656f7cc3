"""The clock of a replay."""

from datetime import UTC, datetime
from pathlib import Path

from tidemill_core.simulated_clock import SimulatedClock

NOON = datetime(2011, 1, 1, 12, 0, 0, 250_000, UTC)
NIGHT = datetime(2011, 1, 2, tzinfo=UTC)


def test_processes_share_the_time(tmp_path: Path) -> None:
    """What one process sets, another reads, to the microsecond."""
    ours = SimulatedClock.create(tmp_path / "clock", NOON)
    theirs = SimulatedClock(tmp_path / "clock")
    assert theirs() == NOON
    ours.set(NIGHT)
    assert theirs() == NIGHT


def test_jobs_are_asked_and_report_that_they_are_done(tmp_path: Path) -> None:
    """The jobs are asked only for the time at which the replay asks, and until they report."""
    ours = SimulatedClock.create(tmp_path / "clock", NOON)
    theirs = SimulatedClock(tmp_path / "clock")
    assert not theirs.asked
    ours.ask_jobs()
    assert theirs.asked
    theirs.settle()
    assert not ours.asked
    ours.set(NIGHT)
    assert not theirs.asked
