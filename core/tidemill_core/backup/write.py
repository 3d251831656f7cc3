"""Writing a backup of a workspace that may be in use."""

import errno
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import IO, cast

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
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.errors import DataError, FailedPrecondition, StorageUnavailable
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings
from tidemill_core.settings.folders import sqlite_url
from tidemill_core.storage.storage import existing_storage, open_storage
from tidemill_core.stored_models import FRONT_MODELS

LEFT_OUT = frozenset(
    {
        *(FRONT_MODELS, "imports", "lock", "logs", "metrics", "prepared", "processes.json"),
        *("restart.json", "scoring", "spool", "tidemill.db", "triton"),
    }
)
"""Names in the state directory that belong to running processes, or that can be made again."""


def write_backup(
    settings: Settings, path: Path, version: str, now: datetime, on_progress: OnProgress
) -> Backup:
    """Write a backup of a workspace that may be in use; the file appears once it is whole.

    Raises:
        DataError: NOTHING_TO_BACK_UP, the database has no rows.
        FailedPrecondition: FILE_CHANGED, a file vanished while it was copied.
        FileExistsError: there is such a file.
        MigrationPending: the database is of an earlier release, which can back it up.
        ObjectStorageUnavailable, ObjectStorageRefused: versions cannot be fetched.
        OSError: it cannot be written.
        StorageUnavailable: the database does not answer.
    """
    if path.exists():
        raise FileExistsError(path)
    temporary = tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.")
    with _full_disk_named(path), temporary as folder:
        database = Path(folder) / DATABASE
        counts = _copy_out(settings, database, on_progress)
        if not any(counts.values()):
            rule = (
                f"the workspace with the state directory {settings.state_dir} has nothing to back "
                "up: run the command in the folder of the workspace that you mean"
            )
            raise DataError("NOTHING_TO_BACK_UP", rule)
        DatasetCopies.of(settings).fetch_all()
        if (stored := ModelRepository.of(settings).stored) is not None:
            stored.fetch_all()
        staged = Path(folder) / "backup.tar"
        staged.touch(0o600)
        with staged.open("wb") as output, tarfile.open(fileobj=output, mode="w") as archive:
            files = _add_files(archive, settings, database, on_progress)
            backup = Backup(version, now.isoformat(), counts, files)
            described = json.dumps({"format": FORMAT, **asdict(backup)}).encode()
            member = tarfile.TarInfo(DESCRIPTION)
            member.size = len(described)
            archive.addfile(member, io.BytesIO(described))
            archive.close()
            output.flush()
            os.fsync(output.fileno())
        staged.rename(path)
    return backup


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    """Raise what SQLite says of a full disk as OSError: only the copies are written."""
    try:
        yield
    except (StorageUnavailable, sqlite3.OperationalError) as error:
        if "disk is full" not in (getattr(error, "detail", "") or str(error)):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


def _copy_out(settings: Settings, database: Path, on_progress: OnProgress) -> dict[str, int]:
    with existing_storage(settings.effective_database_url) as source:
        if source is None:
            return {}
        target = open_storage(sqlite_url(database))
        with closing(target.database):
            step = RowProgress(count_rows(source.database), 0.0, on_progress)
            return copy_rows(source.database, target.database, step)


def _add_files(
    archive: tarfile.TarFile, settings: Settings, database: Path, on_progress: OnProgress
) -> dict[str, str]:
    hashes = {DATABASE: _add(archive, database, DATABASE)}
    places = [*_state_files(settings), *_model_files(settings)]
    for number, (file, name) in enumerate(places):
        on_progress(0.5 + 0.5 * number / len(places), name)
        if file.suffix == ".db":
            with tempfile.TemporaryDirectory(dir=database.parent) as folder:
                hashes[name] = _add(archive, _copied_sqlite(file, Path(folder)), name)
        else:
            hashes[name] = _add(archive, file, name)
    return hashes


def _state_files(settings: Settings) -> Iterator[tuple[Path, str]]:
    root = settings.state_dir
    for entry in sorted(root.iterdir()):
        if entry.name not in LEFT_OUT and not entry.name.startswith("."):
            yield from _files_of(entry, root, STATE)


def _model_files(settings: Settings) -> Iterator[tuple[Path, str]]:
    root = settings.model_repository
    for entry in sorted(root.iterdir()) if root.exists() else ():
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _files_of(entry, root, MODELS)


def _files_of(entry: Path, root: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    """Yield the regular files of a file or folder, except SQLite's logs and unfinished files."""
    files = sorted(entry.rglob("*")) if entry.is_dir() else [entry]
    for file in files:
        inside = file.relative_to(root)
        if any(part.startswith(".") for part in inside.parts):
            continue
        if file.is_file() and not file.is_symlink() and not file.name.endswith(("-wal", "-shm")):
            yield file, f"{prefix}/{inside.as_posix()}"


def _copied_sqlite(file: Path, folder: Path) -> Path:
    """Return a copy of a SQLite database that others may write at the same time."""
    copy = folder / file.name
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _add(archive: tarfile.TarFile, file: Path, name: str) -> str:
    try:
        with file.open("rb") as opened:
            member = archive.gettarinfo(arcname=name, fileobj=opened)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            reader = _HashingReader(opened)
            archive.addfile(member, cast("IO[bytes]", reader))
    except FileNotFoundError as error:
        rule = f"{file} was removed while the backup was written: run the command again"
        raise FailedPrecondition(rule, "FILE_CHANGED") from error
    return reader.hexdigest()


class _HashingReader:
    """A file whose read bytes are hashed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._hash.update(content)
        return content

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
