"""The workspace's database, for commands that work on it directly."""

from collections.abc import Iterator
from contextlib import contextmanager

from tidemill_cli.local import require_extras
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import Storage, open_storage


@contextmanager
def opened_storage(settings: Settings) -> Iterator[Storage]:
    """Storage for the block; made where it is not there yet, as `tidemill up` would.

    Raises:
        ExtrasMissing: the packages that it needs are not installed.
        ConfigurationError: the URL names no database that we know.
        StorageUnavailable: it cannot be reached.
    """
    require_extras()
    keep_files_private()
    storage = open_storage(settings.effective_database_url)
    try:
        yield storage
    finally:
        storage.database.close()
