"""The health check of the jobs' image: exits with 0 if a scheduler holds its lease.

A scheduler that hangs cannot renew the lease, which then expires. While the database is away, the
check passes: an orchestrator that ended the jobs would end their runs, which go on meanwhile.
"""

import sys

from sqlalchemy import select

from tidemill_core.errors import StorageUnavailable, TidemillError
from tidemill_core.settings import load_settings
from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import leases


def main() -> None:
    """Exit with an error if the database has no lease that has not expired."""
    try:
        database = Database(load_settings().effective_database_url)
        with database.read() as connection:
            now = database.now(connection)
            live = select(leases.c.holder).where(leases.c.expire_time >= now)
            holder = connection.execute(live).first()
    except StorageUnavailable as error:
        print(f"{error.reason}: {error}", file=sys.stderr)
        return
    except TidemillError as error:
        sys.exit(f"{error.reason}: {error}")
    if holder is None:
        sys.exit("no scheduler holds the lease")


if __name__ == "__main__":
    main()
