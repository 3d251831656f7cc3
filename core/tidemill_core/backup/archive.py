"""Backups of a workspace.

A backup is a tar file with `database.db` (SQLite, whatever the workspace's database is), the files
of the state directory below `state/`, the models below `models/`, and, at its end, `backup.json`
with what it is and the SHA-256 of each file. Rows are read as of one moment and files after it.
Published versions of datasets and models never change, so each row has its files.
"""

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, cast

from sqlalchemy import URL

from tidemill_core.backup.rows import copy_rows, count_rows
from tidemill_core.errors import DataError
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import Storage, open_storage

FORMAT = 1
DATABASE, STATE, MODELS, DESCRIPTION = "database.db", "state", "models", "backup.json"
LEFT_OUT = frozenset(
    {
        *("imports", "lock", "logs", "metrics", "prepared", "processes.json", "restart.json"),
        *("spool", "tidemill.db", "triton"),
    }
)
"""Names in the state directory that belong to running processes, or that can be made again."""

OnProgress = Callable[[float, str], None]
"""A function of the fraction done, in [0, 1], and the current step."""


@dataclass(frozen=True)
class Backup:
    """What a backup has.

    Attributes:
        tidemill_version: the release that wrote it.
        create_time: when, in ISO 8601.
        row_counts: rows by table.
        files: the SHA-256 of each other file, by its path in the backup.
    """

    tidemill_version: str
    create_time: str
    row_counts: dict[str, int]
    files: dict[str, str]


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


def write_backup(
    settings: Settings, path: Path, version: str, now: datetime, on_progress: OnProgress
) -> Backup:
    """Write a backup of a workspace that may be in use; the file appears once it is whole.

    Raises:
        DataError: FILE_CHANGED, a file vanished while it was copied.
        FileExistsError: there is such a file.
        OSError: it cannot be written.
        StorageUnavailable: the database does not answer.
    """
    if path.exists():
        raise FileExistsError(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        database = Path(folder) / DATABASE
        counts = _copy_out(settings, database, on_progress)
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


def _copy_out(settings: Settings, database: Path, on_progress: OnProgress) -> dict[str, int]:
    source = open_storage(settings.effective_database_url)
    with closing(source.database):
        target = open_storage(_url(database))
        with closing(target.database):
            step = _Rows(count_rows(source.database), 0.0, on_progress)
            return copy_rows(source.database, target.database, step)


def _copy_in(storage: Storage, database: Path, backup: Backup, on_progress: OnProgress) -> None:
    source = open_storage(_url(database))
    with closing(source.database):
        step = _Rows(sum(backup.row_counts.values()), 0.5, on_progress)
        copy_rows(source.database, storage.database, step)


class _Rows:
    """Reports rows as half of the work."""

    def __init__(self, total: int, start: float, on_progress: OnProgress) -> None:
        self._total, self._start, self._on_progress = max(total, 1), start, on_progress
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done += count
        fraction = self._start + 0.5 * min(1.0, self._done / self._total)
        self._on_progress(fraction, f"{self._done:,} rows")


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
        raise DataError("FILE_CHANGED", rule) from error
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
        if not file.is_file() or _hash_of(file) != expected:
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


def _hash_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _moves(settings: Settings, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Yield what to move where: the top-level entries of each part."""
    for part, root in ((STATE, settings.state_dir), (MODELS, settings.model_repository)):
        if (folder / part).is_dir():
            for entry in sorted((folder / part).iterdir()):
                yield entry, root / entry.name


def _url(database: Path) -> str:
    return URL.create("sqlite", database=str(database)).render_as_string()
