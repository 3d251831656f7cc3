"""The health check of the jobs' image: exits with 0 if a scheduler holds its lease.

A scheduler that hangs cannot renew the lease, which then expires. While the database is away, the
check passes: an orchestrator that ended the jobs would end their runs, which go on meanwhile.
With `--startup` it fails then: jobs that wait for their database have not started.
"""

import sys

from sqlalchemy import inspect, select

from tidemill_core.errors import StorageUnavailable, TidemillError
from tidemill_core.settings import load_settings
from tidemill_core.storage.database import Database
from tidemill_core.storage.engine import DatabaseMissing, missing_file
from tidemill_core.storage.schema import leases


def main() -> None:
    """Exit with an error if the database has no lease that has not expired."""
    try:
        url = load_settings().effective_database_url
        if (file := missing_file(url)) is not None:
            raise DatabaseMissing(file)
        database = Database(url)
        with database.read() as connection:
            if not inspect(connection).has_table(leases.name):
                sys.exit("no scheduler holds the lease: the database has no tables yet")
            now = database.now(connection)
            live = select(leases.c.holder).where(leases.c.expire_time >= now)
            holder = connection.execute(live).first()
    except StorageUnavailable as error:
        print(f"{error.reason}: {error}", file=sys.stderr)
        sys.exit("--startup" in sys.argv)
    except TidemillError as error:
        sys.exit(f"{error.reason}: {error}")
    if holder is None:
        sys.exit("no scheduler holds the lease")


if __name__ == "__main__":
    main()
