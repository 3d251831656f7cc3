"""Which of several processes of the jobs leads."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.plugins.databases import new_sqlite
from tidemill_core.storage.leases import LeaseStore
from tidemill_core.storage.storage import open_storage
from tidemill_jobs.leadership import ASK_SECONDS, LEASE, LEASE_LENGTH, RENEW_SECONDS, Leadership


@pytest.fixture
def leases(tmp_path: Path) -> Iterator[LeaseStore]:
    """Yield the leases of a new database."""
    storage = open_storage(new_sqlite(tmp_path / "tidemill.db"))
    with closing(storage.database):
        yield storage.leases


def _patient() -> Callable[[], float]:
    """Return a clock that is read only when a process that waits may ask again."""
    return itertools.count(0.0, ASK_SECONDS).__next__


def test_the_leader_renews_seldom_and_in_time(leases: LeaseStore) -> None:
    """It asks the database every five seconds; two renewals may fail before its lease ends."""
    now = 0.0
    leader = Leadership(leases, lambda: now)

    def expiry() -> datetime:
        return leases.acquire(LEASE, "another", LEASE_LENGTH).expire_time

    assert leader.take()
    first = expiry()
    now = RENEW_SECONDS - 0.1
    assert leader.take()
    assert expiry() == first
    now = RENEW_SECONDS
    assert leader.take()
    assert expiry() > first
    assert LEASE_LENGTH.total_seconds() >= 3 * RENEW_SECONDS


def test_a_process_that_waits_asks_seldom(leases: LeaseStore) -> None:
    """It asks every three seconds, not at each tick, so it learns that late of a released lease."""
    now = 0.0
    leader, waiting = Leadership(leases), Leadership(leases, lambda: now)
    assert leader.take()
    assert not waiting.take()
    leader.release()
    now = ASK_SECONDS - 0.1
    assert not waiting.take()
    now = ASK_SECONDS
    assert waiting.take()


def test_a_process_that_waits_asks_when_the_lease_ends(leases: LeaseStore) -> None:
    """A lease that ends sooner than in three seconds is asked for when it ends."""
    now, length = 0.0, ASK_SECONDS - 0.5
    waiting = Leadership(leases, lambda: now)
    leases.acquire(LEASE, "gone", timedelta(minutes=1))
    assert not Leadership(leases).take()  # the first one is slow, and the lease's time is real
    leases.acquire(LEASE, "gone", timedelta(seconds=length))
    assert not waiting.take()
    left = leases.acquire(LEASE, "another", timedelta(minutes=1)).remaining
    leases.release(LEASE, "gone")
    now = left.total_seconds() - 0.1
    assert not waiting.take()
    now = length
    assert waiting.take()


def test_a_process_that_waits_says_once_for_whom(leases: LeaseStore) -> None:
    """The log names the process that leads, and when it was last there, once for each leader."""
    first, second, third = (Leadership(leases, _patient()) for _ in range(3))
    with capture_logs() as logs:
        assert first.take()
        assert first.take()
    assert logs == []
    assert f":{os.getpid()}:" in first.holder
    with capture_logs() as logs:
        assert not any(second.take() for _ in range(3))
    [line] = logs
    assert (line["event"], line["leader"]) == ("waiting_to_lead", first.holder)
    assert line["leader_renewed"].startswith("20")
    first.release()
    with capture_logs() as logs:
        assert third.take()
        assert not any(second.take() for _ in range(3))
    assert [each["leader"] for each in logs] == [third.holder]


def test_a_process_leads_as_long_as_its_lease(leases: LeaseStore) -> None:
    """It does not lead before it took the lease, after it stopped, or while another has it."""
    first, second = Leadership(leases), Leadership(leases, _patient())
    assert not first.holds()
    assert first.take()
    assert first.holds()
    assert not second.take()
    assert not second.holds()
    first.release()
    assert not first.holds()
    assert second.take()
    assert second.holds()
