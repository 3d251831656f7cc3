"""Restoring a backup into a workspace without data."""

import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tidemill_core.backup.contents import (
    DATABASE,
    DESCRIPTION,
    FORMAT,
    MODELS,
    STATE,
    Backup,
    OnProgress,
    RowProgress,
)
from tidemill_core.backup.row_copies import copy_rows, count_rows
from tidemill_core.durable import sha256_of
from tidemill_core.errors import DataError
from tidemill_core.settings import Settings
from tidemill_core.settings.folders import sqlite_url
from tidemill_core.storage.storage import Storage, open_storage


class DamagedBackup(DataError):
    """A file is no backup, or not the one that was written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__("DAMAGED_BACKUP", f"{path} is not a whole backup of Tidemill: {why}")


class NotEmpty(DataError):
    """A backup would replace something."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "NOT_EMPTY",
            f"{what}: restore into a new workspace, or move the old data away first",
        )


def restore_backup(settings: Settings, path: Path, on_progress: OnProgress) -> Backup:
    """Restore a backup into a workspace without data; nothing is left of one that fails.

    Raises:
        DataError: DAMAGED_BACKUP; or NOT_EMPTY, the workspace has data.
        ConfigurationError: a newer release wrote it.
        OSError: a file cannot be read or written.
        StorageUnavailable: the database does not answer, or is full.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.model_repository.mkdir(parents=True, exist_ok=True)
    storage = open_storage(settings.effective_database_url)
    with closing(storage.database):
        if count_rows(storage.database):
            raise NotEmpty("the database has rows")
        with tempfile.TemporaryDirectory(dir=settings.state_dir, prefix=".restore.") as folder:
            backup = _extract(path, Path(folder), on_progress)
            moves = list(_moves(settings, Path(folder)))
            for _, target in moves:
                if target.exists():
                    raise NotEmpty(f"{target} exists")
            with _moved(moves):
                _copy_in(storage, Path(folder) / DATABASE, backup, on_progress)
    return backup


@contextmanager
def _moved(moves: Sequence[tuple[Path, Path]]) -> Iterator[None]:
    """Move files to where they belong, and remove them again if the block fails."""
    done = []
    try:
        for source, target in moves:
            done.append(target)
            shutil.move(source, target)
        yield
    except BaseException:
        for target in done:
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        raise


def _copy_in(storage: Storage, database: Path, backup: Backup, on_progress: OnProgress) -> None:
    source = open_storage(sqlite_url(database))
    with closing(source.database):
        step = RowProgress(sum(backup.row_counts.values()), 0.5, on_progress)
        copy_rows(source.database, storage.database, step)


def _extract(path: Path, folder: Path, on_progress: OnProgress) -> Backup:
    """Extract a backup and check each file."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
            for number, member in enumerate(members):
                on_progress(0.5 * number / max(len(members), 1), member.name)
                archive.extract(member, folder, filter="data")
        backup = _described(path, folder)
    except (tarfile.TarError, EOFError) as error:
        raise DamagedBackup(path, str(error)) from error
    for name, expected in backup.files.items():
        file = folder / name
        if not file.is_file() or sha256_of(file) != expected:
            raise DamagedBackup(path, f"{name} is missing or differs")
    return backup


def _described(path: Path, folder: Path) -> Backup:
    try:
        found: dict[str, Any] = json.loads((folder / DESCRIPTION).read_bytes())
        if found.pop("format") != FORMAT:
            raise DamagedBackup(path, "another release wrote it in another format")
        return Backup(**found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedBackup(path, f"{DESCRIPTION} is missing or damaged") from error


def _moves(settings: Settings, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield what to move where: the top-level entries of each part."""
    for part, root in ((STATE, settings.state_dir), (MODELS, settings.model_repository)):
        if (folder / part).is_dir():
            for entry in sorted((folder / part).iterdir()):
                yield entry, root / entry.name
