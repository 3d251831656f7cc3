"""Folders of files in object storage: `s3://…`, or any other URL that fsspec can write to.

    <url>/support/3f9a…/examples-0c1d….parquet
                       /objects.json     the folder's files: their objects, sizes and SHA-256

`objects.json` is written last and replaces the one before it at once. A reader therefore sees the
old files or the new ones, never some of each. What no `objects.json` names is left over from a
writer that was killed; the next writer removes it.
"""

import json
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from tidemill_core.counted import counted
from tidemill_core.durable import STAGED, move_folder, sha256_of, sync
from tidemill_core.object_errors import ObjectDamaged, ObjectGone, converted, without_user
from tidemill_core.object_files import open_files

INDEX = "objects.json"
_FOLDER = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+")
"""A folder's name, which is also a local path: a task or a model, and a version."""
_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")

KeyOf = Callable[[str, str], str]
"""Returns the object's name in its folder for a file's name and SHA-256."""


@dataclass(frozen=True)
class StoredObject:
    """The object of a file.

    Attributes:
        key: its name in the folder.
        size: in bytes.
        sha256: of its content, in hex.
    """

    key: str
    size: int
    sha256: str


Index = Mapping[str, StoredObject]
"""The objects of a folder, by the names of their files."""


def same_name(name: str, _sha256: str) -> str:
    """Return the file's name: for folders that never change."""
    return name


def hashed_name(name: str, sha256: str) -> str:
    """Return a name with the content's hash, so that new content never replaces an object."""
    path = PurePosixPath(name)
    return f"{path.stem}-{sha256[:16]}{path.suffix}"


class ObjectStorage:
    """Folders below a URL, each whole or missing.

    Methods raise `ObjectStorageUnavailable`, or `ObjectStorageRefused` if the bucket is missing or
    the credentials may not do it. Of two writers of one folder the last one wins; to let them take
    turns is the caller's task.

    Args:
        url: the URL.
        key_of: how to name objects.

    Raises:
        ConfigurationError: as `open_files` raises it.
    """

    def __init__(self, url: str, key_of: KeyOf) -> None:
        self.url = without_user(url)
        self._key_of = key_of
        self._files, self._root = open_files(url)

    def names(self, below: str = "") -> list[str]:
        """Return the names of all folders, such as `support/3f9a…`."""
        with converted(self.url):
            found = self._find(below)
        start, end = len(self._root) + 1, f"/{INDEX}"
        names = (path[start : -len(end)] for path in found if path.endswith(end))
        return sorted(name for name in names if _FOLDER.fullmatch(name))

    def index(self, name: str) -> Index | None:
        """Return a folder's files; None if there is no such folder.

        Raises:
            ObjectDamaged: `objects.json` cannot be read.
        """
        content = self.read(f"{name}/{INDEX}")
        if content is None:
            return None
        try:
            index = {file: StoredObject(**each) for file, each in json.loads(content).items()}
            # These names become paths on this machine.
            for each in (*index, *(stored.key for stored in index.values())):
                if not _FILE.fullmatch(each):
                    raise ValueError(f"{each!r} is not a file's name")
            if not index:  # a reader would remove its files
                raise ValueError("it names no file")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ObjectDamaged(f"{self.url}/{name}/{INDEX}", str(error)) from error
        return index

    def write(self, name: str, files: Mapping[str, Path]) -> None:
        """Make a folder have exactly these files.

        A writer that is killed or fails leaves the folder as it was, and a repeated one goes on.
        """
        wanted = {file: self._object(file, path) for file, path in files.items()}
        before = self.index(name)
        with converted(self.url):
            there = {path: info["size"] for path, info in self._find(name).items()}
            for file, each in wanted.items():
                path = self._path(name, each.key)
                known = before is not None and before.get(file) == each
                if not known or there.get(path) != each.size:
                    self._files.put_file(str(files[file]), path)
            index = {file: asdict(each) for file, each in wanted.items()}
            if wanted != before:
                self.replace(f"{name}/{INDEX}", json.dumps(index, indent=2).encode())
            stay = {self._path(name, key) for key in (INDEX, *(o.key for o in wanted.values()))}
            for path in there.keys() - stay:
                self._remove(path)

    def download(self, name: str, target: Path, staging: Path, only: Collection[str] = ()) -> bool:
        """Make a missing local folder appear with its files; return False if there is none.

        Args:
            name: the folder.
            target: the local folder; one that appears meanwhile stays as it is.
            staging: a folder on the same disk, in which it is filled.
            only: the names of the files that it gets; empty: all.

        Raises:
            ObjectDamaged: an object is not the one that was written.
        """

        def fill(index: Index) -> None:
            staged = staging / f"{STAGED}{uuid.uuid4().hex}"
            staged.mkdir(parents=True)
            try:
                for file in index.keys() & only if only else index:
                    self.download_file(name, index[file], staged / file)
                target.parent.mkdir(parents=True, exist_ok=True)
                move_folder(staged, target)
            finally:
                shutil.rmtree(staged, ignore_errors=True)

        return self.read_whole(name, fill)

    def read_whole(self, name: str, use: Callable[[Index], None]) -> bool:
        """Call a function with a folder's files; return False if there is no such folder.

        The function uses `download_file`. It is called again if a writer replaced the files.

        Raises:
            ObjectDamaged: an object is not the one that was written.
        """
        while (index := self.index(name)) is not None:
            try:
                use(index)
            except ObjectGone as gone:
                if index == self.index(name):
                    raise ObjectDamaged(f"{self.url}/{name}/{gone}", "it is missing") from gone
            else:
                return True
        return False

    def download_file(self, name: str, wanted: StoredObject, target: Path) -> None:
        """Write an object's content to a local file; part of a function of `read_whole`."""
        with converted(self.url):
            try:
                self._files.get_file(self._path(name, wanted.key), str(target))
            except FileNotFoundError as error:
                raise ObjectGone(wanted.key) from error
        if (size := target.stat().st_size) != wanted.size:
            detail = f"it has {counted(size, 'byte')} instead of {wanted.size:,}"
        elif sha256_of(target) != wanted.sha256:
            detail = "its SHA-256 is not the one that was written"
        else:
            sync(target)
            return
        target.unlink()
        raise ObjectDamaged(f"{self.url}/{name}/{wanted.key}", detail)

    def read(self, place: str) -> bytes | None:
        """Return the content of an object; None if it is missing."""
        with converted(self.url):
            try:
                return bytes(self._files.cat_file(self._path(place)))
            except FileNotFoundError:
                return None

    def replace(self, place: str, content: bytes) -> None:
        """Replace an object at once, also on storage that writes objects piece by piece."""
        self._replace(place, lambda staged: self._files.pipe_file(staged, content))

    def exists(self, place: str) -> bool:
        """Return whether there is an object."""
        with converted(self.url):
            return bool(self._files.exists(self._path(place)))

    def modified(self, place: str) -> datetime | None:
        """Return when an object was last written, by the storage's clock; None if it is missing."""
        with converted(self.url):
            try:
                found: datetime = self._files.modified(self._path(place))
            except FileNotFoundError:
                return None
        return found

    def upload(self, place: str, file: Path) -> None:
        """Make an object appear, or replace it at once, with a file's content."""
        self._replace(place, lambda staged: self._files.put_file(str(file), staged))

    def _replace(self, place: str, put: Callable[[str], object]) -> None:
        folder, _, key = place.rpartition("/")
        staged = self._path(folder, f"{STAGED}{uuid.uuid4().hex}-{key}")
        with converted(self.url):
            put(staged)
            self._files.mv(staged, self._path(place))

    def _object(self, file: str, path: Path) -> StoredObject:
        sha256 = sha256_of(path)
        return StoredObject(self._key_of(file, sha256), path.stat().st_size, sha256)

    def _find(self, below: str) -> Mapping[str, Any]:
        try:
            found: Mapping[str, Any] = self._files.find(self._path(below), detail=True)
        except FileNotFoundError:
            return {}
        return found

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._files.rm_file(path)

    def _path(self, *parts: str) -> str:
        return "/".join((self._root, *filter(None, parts)))
