"""Leases, which one process at a time can hold, across machines; the database's clock counts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, update

from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import leases


@dataclass(frozen=True)
class Lease:
    """A lease that a process has taken.

    Attributes:
        holder: the process.
        expire_time: when another process may take it, by the database's clock.
        remaining: the time until then.
    """

    holder: str
    expire_time: datetime
    remaining: timedelta


class LeaseStore:
    """The table of leases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, holder: str, length: timedelta) -> Lease:
        """Take or renew a lease, and return it as it is now: another's if that has not expired."""
        with self._database.write(alone_on=leases) as connection:
            now = self._database.now(connection)
            free = or_(leases.c.holder == holder, leases.c.expire_time < now)
            change = update(leases).where(leases.c.name == name, free)
            values = {"holder": holder, "expire_time": now + length}
            new = [{"name": name, **values}]
            if connection.execute(change.values(**values)).rowcount:
                return Lease(holder, now + length, length)
            self._database.insert_ignoring_repeats(connection, leases, new)
            row = connection.execute(leases.select().where(leases.c.name == name)).one()
            return Lease(row.holder, row.expire_time, row.expire_time - now)

    def release(self, name: str, holder: str) -> None:
        """Release a lease if it is still the holder's."""
        mine = (leases.c.name == name) & (leases.c.holder == holder)
        with self._database.write() as connection:
            connection.execute(leases.delete().where(mine))
