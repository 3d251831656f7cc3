"""Leases, which one process at a time can hold, across machines; the database's clock counts."""

from datetime import timedelta

from sqlalchemy import or_, update

from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import leases


class LeaseStore:
    """The table of leases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, holder: str, length: timedelta) -> bool:
        """Take or renew a lease; return False while another holder's lease has not expired."""
        with self._database.write(alone_on=leases) as connection:
            now = self._database.now(connection)
            free = or_(leases.c.holder == holder, leases.c.expire_time < now)
            change = update(leases).where(leases.c.name == name, free)
            values = {"holder": holder, "expire_time": now + length}
            new = [{"name": name, **values}]
            if connection.execute(change.values(**values)).rowcount:
                return True
            self._database.insert_ignoring_repeats(connection, leases, new)
            query = leases.select().where(leases.c.name == name)
            return bool(connection.execute(query).one().holder == holder)

    def release(self, name: str, holder: str) -> None:
        """Release a lease if it is still the holder's."""
        mine = (leases.c.name == name) & (leases.c.holder == holder)
        with self._database.write() as connection:
            connection.execute(leases.delete().where(mine))
