"""The folders of dataset versions on this machine, and their copies in object storage.

Without object storage, the folders are all there is. With it, the storage has the truth, and a
folder is a copy that `fetch` brings up to date. A change is made in the folder and then stored; a
mark next to the folder, `.changing-<id>`, keeps `fetch` from undoing it until it is stored.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from tidemill_core.dataset_folder import (
    ERASED_FILE,
    EXAMPLES_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    version_folders,
)
from tidemill_core.durable import NotWritten, cause, sha256_of, write_durably, written_whole
from tidemill_core.object_storage import Index, ObjectStorage, hashed_name
from tidemill_core.settings import Settings

DATASETS = "datasets"
_FILES = (ERASED_FILE, QUARANTINE_FILE, EXAMPLES_FILE, MANIFEST_FILE)
"""In the order in which they are replaced: tombstones before the rows that they stand for go."""
ROW_FILES = (EXAMPLES_FILE, QUARANTINE_FILE)
"""The files that `tidemill datasets gc` removes."""
_FETCHING = ".fetching"
_LOCK = ".fetching.lock"

Exclusive = Callable[[str], AbstractContextManager[None]]
"""Holds the lock with a name, which one process on any machine has at a time, for its block."""


def _alone(_name: str) -> AbstractContextManager[None]:
    return nullcontext()


class DatasetCopies:
    """The dataset versions of a workspace.

    Methods raise what `ObjectStorage` raises.

    Args:
        root: the folder of all datasets, `<state_dir>/datasets`.
        storage: where they are stored; None for a workspace without object storage.
        exclusive: lets the machines that change a version take turns; readers need none.
    """

    def __init__(
        self, root: Path, storage: ObjectStorage | None = None, exclusive: Exclusive = _alone
    ) -> None:
        self.root = root
        self._storage = storage
        self._exclusive = exclusive

    @classmethod
    def of(cls, settings: Settings, exclusive: Exclusive = _alone) -> "DatasetCopies":
        """Return the versions of a workspace."""
        url = settings.dataset_storage
        storage = ObjectStorage(url, hashed_name) if url else None
        return cls(settings.state_dir / DATASETS, storage, exclusive)

    def folder(self, task: str, dataset_version: str) -> Path:
        """Return the folder of a version."""
        return self.root / task / dataset_version

    def fetch(self, folder: Path, files: tuple[str, ...] = _FILES) -> Path:
        """Bring files of a version's folder up to date, and return it; it may still be missing.

        Raises:
            ObjectDamaged: an object is not the one that was written.
        """
        if self._storage is not None:
            with self._locked():
                self._fetch(self._storage, folder, files)
        return folder

    def fetch_manifests(self) -> None:
        """Fetch the manifests of the versions that this machine does not have.

        `fetch` adds their rows. Until then they look as if their rows had been removed.
        """
        if self._storage is None:
            return
        with self._locked():
            for name in self._storage.names():
                if not (manifest := self.root / name / MANIFEST_FILE).exists():
                    self._equalize(self._storage, manifest.parent, (MANIFEST_FILE,))

    def fetch_all(self) -> None:
        """Bring all versions of all tasks here."""
        for name in self._storage.names() if self._storage is not None else ():
            self.fetch(self.root / name)

    def row_bytes(self, folder: Path) -> int | None:
        """Return the size of a version's rows, here or stored; None if they were removed."""
        index = self._storage.index(_name(folder)) if self._storage is not None else None
        if index is not None:
            sizes = [index[name].size for name in ROW_FILES if name in index]
        else:
            files = [folder / name for name in ROW_FILES]
            sizes = [file.stat().st_size for file in files if file.exists()]
        return sum(sizes) if sizes else None

    @contextmanager
    def changing(self, folder: Path) -> Iterator[None]:
        """Let the block create or change a version's folder, and store the result.

        A change that fails or is killed in the middle stays in the folder, and the next one
        completes it; readers elsewhere see the version as it was.
        """
        if self._storage is None:
            yield
            return
        with self._exclusive(f"dataset {_name(folder)}"):
            with self._locked():
                self._fetch(self._storage, folder, _FILES)
                index = self._storage.index(_name(folder))
                mark = _mark(folder)
                mark.parent.mkdir(parents=True, exist_ok=True)
                write_durably(mark, _digest(index).encode())
            yield
            files = {name: folder / name for name in _FILES if (folder / name).exists()}
            self._storage.write(_name(folder), files)
            mark.unlink()

    def store_missing(self, task: str) -> None:
        """Store the versions of a task that the storage does not have."""
        if self._storage is None:
            return
        stored = set(self._storage.names(task))
        for folder in version_folders(self.root):
            if folder.parent.name == task and _name(folder) not in stored:
                with self.changing(folder):
                    pass

    def _fetch(self, storage: ObjectStorage, folder: Path, files: tuple[str, ...]) -> None:
        mark = _mark(folder)
        if mark.exists():
            if mark.read_text() == _digest(storage.index(_name(folder))):
                return  # changed here only
            mark.unlink()
        if folder.exists() or files != _FILES:
            self._equalize(storage, folder, files)
        else:
            storage.download(_name(folder), folder, self.root / _FETCHING)

    def _equalize(self, storage: ObjectStorage, folder: Path, names: tuple[str, ...]) -> None:
        """Make some files of a folder those of the storage; do nothing if it has none."""

        def use(index: Index) -> None:
            folder.mkdir(parents=True, exist_ok=True)
            for file in names:
                path, wanted = folder / file, index.get(file)
                if wanted is None:
                    path.unlink(missing_ok=True)
                elif not path.exists() or sha256_of(path) != wanted.sha256:
                    with written_whole(path) as staged:
                        storage.download_file(_name(folder), wanted, staged)

        storage.read_whole(_name(folder), use)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / _LOCK):
                # What a killed process left; it may have texts that were erased since.
                shutil.rmtree(self.root / _FETCHING, ignore_errors=True)
                yield
        except OSError as error:
            cure = "make room on the disk, or fix the folder's permissions"
            raise NotWritten(self.root, cause(error), cure) from error


def _name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def _mark(folder: Path) -> Path:
    return folder.with_name(f".changing-{folder.name}")


def _digest(index: Index | None) -> str:
    files = {file: asdict(each) for file, each in (index or {}).items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
