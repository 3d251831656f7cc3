"""Leases, which one process at a time can hold."""

from datetime import UTC, datetime, timedelta

from tests.contract.storage.values import at_once
from tidemill_core.storage.schema import leases
from tidemill_core.storage.storage import Storage

LENGTH = timedelta(minutes=5)
EXPIRED = timedelta(seconds=-1)


def test_exclusive(storage: Storage) -> None:
    """While one process holds a lease, no other gets it; leases with other names are free."""
    assert storage.leases.acquire("scheduler", "a", LENGTH).holder == "a"
    assert storage.leases.acquire("scheduler", "b", LENGTH).holder != "b"
    assert storage.leases.acquire("other", "b", LENGTH).holder == "b"


def test_renewed(storage: Storage) -> None:
    """The holder extends a lease by taking it again, also one that has expired."""
    storage.leases.acquire("scheduler", "a", EXPIRED)
    assert storage.leases.acquire("scheduler", "a", LENGTH).holder == "a"
    assert storage.leases.acquire("scheduler", "b", LENGTH).holder != "b"


def test_expired(storage: Storage) -> None:
    """An expired lease goes to the next process that asks, and not back."""
    storage.leases.acquire("scheduler", "a", EXPIRED)
    assert storage.leases.acquire("scheduler", "b", LENGTH).holder == "b"
    assert storage.leases.acquire("scheduler", "a", LENGTH).holder != "a"


def test_released(storage: Storage) -> None:
    """A released lease is free; only its holder can release it."""
    storage.leases.acquire("scheduler", "a", LENGTH)
    storage.leases.release("scheduler", "b")
    assert storage.leases.acquire("scheduler", "b", LENGTH).holder != "b"
    storage.leases.release("scheduler", "a")
    assert storage.leases.acquire("scheduler", "b", LENGTH).holder == "b"


def test_held(storage: Storage) -> None:
    """A process that waits for a lease can see who has it, and when it was last renewed."""
    before = datetime.now(UTC)
    taken = storage.leases.acquire("scheduler", "a", LENGTH)
    held = storage.leases.acquire("scheduler", "b", LENGTH)
    assert (held.holder, held.expire_time) == ("a", taken.expire_time)
    assert held.remaining <= taken.remaining == LENGTH
    assert timedelta() <= held.expire_time - LENGTH - before < timedelta(seconds=10)


def test_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """Of eight concurrent threads, exactly one gets a free lease, and then an expired one."""
    stores = [storage.leases, second_storage.leases]
    for start in (0, 8):
        got = at_once(
            lambda number: stores[number % 2].acquire("scheduler", str(number), LENGTH),
            range(start, start + 8),
        )
        [holder] = {lease.holder for lease in got}
        assert int(holder) in range(start, start + 8)
        storage.leases.acquire("scheduler", holder, EXPIRED)


def test_a_process_that_is_stopped_lets_a_lock_go(storage: Storage) -> None:
    """PostgreSQL ends a transaction that holds a table's lock and is idle for ten seconds."""
    if storage.database.engine.dialect.name != "postgresql":
        return  # one machine, where the lock is the file's
    with storage.database.write(alone_on=leases) as connection:
        setting = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
    assert setting == "10s"
