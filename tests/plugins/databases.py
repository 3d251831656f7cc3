"""New SQLite databases, each a copy of one that was migrated once."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tidemill_core.storage.storage import open_storage


def new_sqlite(path: Path) -> str:
    """Write an empty database in the current schema; return its URL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_migrated())
    return f"sqlite:///{path}"


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tidemill.db"
        open_storage(f"sqlite:///{path}").database.close()
        return path.read_bytes()
