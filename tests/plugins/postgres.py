"""A real PostgreSQL, started once per session for the first test that needs it."""

import contextlib
import itertools
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from pgserver.postgres_server import PostgresServer


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL on its own socket, with a database for each test."""

    server: "PostgresServer"
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_database(self) -> str:
        """Create an empty database; return its name."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        return self.server.get_uri(database).replace("postgresql://", "postgresql+psycopg://", 1)

    def stop(self) -> None:
        """Stop it as an operator would: connections are cut, but no data is lost."""
        process = psutil.Process(self.server.get_pid())
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)

    def start(self) -> None:
        """Start it again after `stop`."""
        self.server.ensure_postgres_running()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """Run the session's PostgreSQL; stop it and remove its data when the session ends."""
    with running_postgres(tmp_path_factory.mktemp("run")) as postgres:
        yield postgres


@contextlib.contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """Run a PostgreSQL; stop it and remove its data at the end.

    Args:
        folder: an empty folder.
    """
    # pgserver keeps its lock file there, and warns at import if the folder is missing.
    before = os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pgserver.postgres_server import get_server

    if before == str(folder):
        del os.environ["XDG_RUNTIME_DIR"]
    # Root's PostgreSQL runs as a system user that pgserver creates when it is missing. One process
    # at a time may do that: two `useradd` at once give the user an id that does not exist.
    with FileLock(Path(tempfile.gettempdir()) / f"tidemill-postgres-{os.getuid()}.lock"):
        # Not in pytest's folder, which every start of pytest closes to other users.
        server = get_server(tempfile.mkdtemp(prefix="tidemill-pg-"), cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # The data need not survive a power cut, and durable commits are slow.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield Postgres(server)
    finally:
        server.cleanup()


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """Return the SQLAlchemy URL of a new, empty PostgreSQL database."""
    return postgres.url(postgres.new_database())
