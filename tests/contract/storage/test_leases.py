"""Leases, which one process at a time can hold."""

from datetime import timedelta

from tests.contract.storage.values import NOW, at_once, later
from tidemill_core.storage.schema import leases
from tidemill_core.storage.storage import Storage

LENGTH = timedelta(seconds=30)


def test_exclusive(storage: Storage) -> None:
    """While one process holds a lease, no other gets it; leases with other names are free."""
    assert storage.leases.acquire("scheduler", "a", LENGTH, NOW)
    assert not storage.leases.acquire("scheduler", "b", LENGTH, later(1))
    assert storage.leases.acquire("other", "b", LENGTH, later(1))


def test_renewed(storage: Storage) -> None:
    """The holder extends a lease by taking it again."""
    storage.leases.acquire("scheduler", "a", LENGTH, NOW)
    assert storage.leases.acquire("scheduler", "a", LENGTH, later(29))
    assert not storage.leases.acquire("scheduler", "b", LENGTH, later(58))


def test_expired(storage: Storage) -> None:
    """An expired lease goes to the next process that asks, and not back."""
    storage.leases.acquire("scheduler", "a", LENGTH, NOW)
    assert not storage.leases.acquire("scheduler", "b", LENGTH, later(30))
    assert storage.leases.acquire("scheduler", "b", LENGTH, later(30.001))
    assert not storage.leases.acquire("scheduler", "a", LENGTH, later(31))


def test_released(storage: Storage) -> None:
    """A released lease is free; only its holder can release it."""
    storage.leases.acquire("scheduler", "a", LENGTH, NOW)
    storage.leases.release("scheduler", "b")
    assert not storage.leases.acquire("scheduler", "b", LENGTH, later(1))
    storage.leases.release("scheduler", "a")
    assert storage.leases.acquire("scheduler", "b", LENGTH, later(2))


def test_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """Of eight concurrent threads, exactly one gets a free lease, and then an expired one."""
    stores = [storage.leases, second_storage.leases]
    for moment in (NOW, later(100)):

        def ask(number: int) -> bool:
            name = f"{moment:%H%M%S}-{number}"  # noqa: B023 -- called within the round
            return stores[number % 2].acquire("scheduler", name, LENGTH, moment)  # noqa: B023

        assert sum(at_once(ask, range(8))) == 1


def test_a_process_that_is_stopped_lets_a_lock_go(storage: Storage) -> None:
    """PostgreSQL ends a transaction that holds a table's lock and is idle for ten seconds."""
    if storage.database.engine.dialect.name != "postgresql":
        return  # one machine, where the lock is the file's
    with storage.database.write(alone_on=leases) as connection:
        setting = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar()
    assert setting == "10s"
