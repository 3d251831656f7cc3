"""The workspace's database, for commands that use it directly."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tidemill_cli.connection import current_user
from tidemill_cli.local import missing_module, require_storage
from tidemill_cli.output import plain, say
from tidemill_core.domain.access import AuditRecord, Authentication
from tidemill_core.errors import TidemillError
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings

if TYPE_CHECKING:  # part of the extras, and takes half a second to import
    from tidemill_core.storage.database import Page
    from tidemill_core.storage.storage import Storage

RowT = TypeVar("RowT")


@contextmanager
def opened_storage(settings: Settings) -> "Iterator[Storage]":
    """Yield the storage; create it if it does not exist and no stack runs, as `tidemill up` would.

    Raises:
        ExtrasMissing: its packages are not installed.
        ConfigurationError: the URL names no supported database.
        StorageUnavailable: it cannot be reached, or is missing in a running stack.
    """
    require_storage()
    from tidemill_core.storage.storage import open_storage
    from tidemill_core.supervisor.lock import stack_runs

    keep_files_private()
    create = not stack_runs(settings.state_dir)
    storage = open_storage(settings.effective_database_url, create=create)
    try:
        yield storage
    finally:
        storage.database.close()


@contextmanager
def existing_storage(settings: Settings) -> "Iterator[Storage | None]":
    """Yield the storage for a command that only reads; None if there is none yet.

    Raises:
        ExtrasMissing: its packages are not installed.
        MigrationPending: the database is of an earlier release.
        ConfigurationError: the URL names no supported database.
        StorageUnavailable: it cannot be reached, or is missing in a running stack.
    """
    require_storage()
    from tidemill_core.storage import engine, storage
    from tidemill_core.supervisor.lock import stack_runs

    url = settings.effective_database_url
    if (file := engine.missing_file(url)) is not None and stack_runs(settings.state_dir):
        raise engine.DatabaseMissing(file)
    with storage.existing_storage(url) as found:
        yield found


def last_build_time(settings: Settings, dataset_version: str) -> datetime | None:
    """Return when a build last produced a version; None if the catalog does not answer."""
    if missing_module() is not None:
        return None
    try:
        with existing_storage(settings) as storage:
            return None if storage is None else storage.datasets.get(dataset_version).build_time
    except TidemillError:
        return None


def note_pending_migration(settings: Settings) -> None:
    """Say that the database is of an earlier release, if it is."""
    if missing_module() is not None:  # no stack can run here
        return
    from tidemill_core.storage.migrate import MigrationPending

    try:
        with existing_storage(settings):
            pass
    except MigrationPending as pending:
        say(str(pending), style="yellow")
    except TidemillError:  # other commands report it
        return


def audit_record(
    command: str, request: Mapping[str, Any], now: datetime, task: str = ""
) -> AuditRecord:
    """Return the audit record of a command that changed the database directly."""
    return AuditRecord(
        caller=current_user(),
        authentication=Authentication.LOCAL,
        method=f"tidemill {command}",
        task=task,
        code="OK",
        reason="",
        request=json.loads(json.dumps(request, default=plain)),
        peer="",
        create_time=now,
    )


def every(fetch: "Callable[[Page], tuple[list[RowT], str]]") -> Iterator[RowT]:
    """Yield the rows of all pages."""
    from tidemill_core.storage.database import MAX_PAGE_SIZE, Page

    token = ""
    while True:
        rows, token = fetch(Page.parse(MAX_PAGE_SIZE, token))
        yield from rows
        if not token:
            return
