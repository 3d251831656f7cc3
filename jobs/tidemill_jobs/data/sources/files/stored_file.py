"""Files, wherever they are stored: which there are, what tells of a change, and their bytes."""

import bz2
import glob
import gzip
import lzma
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

import aiohttp
import fsspec
import pyarrow as pa
from fsspec.core import url_to_fs

from tidemill_jobs.data.sources.errors import SourceMissing, SourceUnreadable

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""Formats by suffix."""

_STAMPS = (
    *("size", "mtime", "created", "ETag", "etag", "LastModified", "last_modified"),
    *("Last-Modified", "Content-MD5", "Digest", "md5Hash", "updated", "modified"),
)
# `abfs://container@account` and the like have no user there, unless there is a password.
_USER = re.compile(r"://[^/\s@]*:[^/\s]*@|(?<!fs)(?<!fss)://[^/\s]*@")
_PARAMETERS = re.compile(r"(https?://[^?#\s]*)[?#][^\s'\"]*")
_UNREADABLE = (
    *(OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException),
    UnicodeError,  # pyarrow's, of a damaged file's names
    aiohttp.ClientError,  # fsspec passes it on
)


def _decompress_zstandard(raw: IO[bytes]) -> Any:
    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")


_DECOMPRESSORS: Mapping[str, Any] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _decompress_zstandard,
}


@dataclass(frozen=True)
class StoredFile:
    """One file.

    Attributes:
        part: its name for people, and in what has landed.
        stamp: changes when the file does; empty where the storage cannot tell.
        is_named: whether the path names it, and is no folder or glob that it was found in.
    """

    part: str
    stamp: str
    is_named: bool
    _name: str
    _file_system: Any = field(repr=False)

    @property
    def suffix(self) -> str:
        """The format's suffix, in lower case: `.csv` of `tickets.CSV.gz`."""
        path = PurePosixPath(self.part.lower())
        return PurePosixPath(path.stem).suffix if self.compression else path.suffix

    @property
    def compression(self) -> str:
        """The suffix of what the file is compressed with; empty where it is not."""
        suffix = PurePosixPath(self.part.lower()).suffix
        return suffix if suffix in _DECOMPRESSORS else ""

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """The file's bytes, without compression.

        Raises:
            DataError: SOURCE_UNREADABLE, from the block too.
        """
        with read_errors(self.part), self._raw() as raw:
            if not self.compression:
                yield raw
                return
            opener = _DECOMPRESSORS[self.compression]
            with opener(raw) as plain:
                yield plain

    def _raw(self) -> Any:
        with _any_error(self.part):
            return self._file_system.open(self._name, "rb")


@contextmanager
def read_errors(part: str) -> Iterator[None]:
    """What goes wrong while a file is read, as a DataError that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceMissing(f"there is no file {part}", "fix the path") from error
    except EOFError as error:
        raise _unreadable(part, "its compressed content ends in the middle") from error
    except _UNREADABLE as error:
        raise _unreadable(part, getattr(error, "strerror", None) or error) from error


def stored_files(path: str, format_set: bool) -> list[StoredFile]:
    """The file, the files in a folder and those below it, or those that a glob finds; by name.

    Args:
        path: what the settings say.
        format_set: whether the settings say what the files are; otherwise a folder's or a glob's
            files with no known suffix are none of ours. Hidden files never are.

    Raises:
        DataError: SOURCE_MISSING or SOURCE_UNREADABLE.
    """
    with read_errors(without_secrets(path)), _any_error(path):
        file_system, name = url_to_fs(path)
        file_system.invalidate_cache()
        if _is_web(path) or file_system.isfile(name):
            return [_stored(path, file_system, file_system.info(name), is_named=True)]
        if file_system.isdir(name):
            found = file_system.find(name, detail=True)
        else:
            found = file_system.glob(_with_literal_folders(file_system, name), detail=True)
        infos = [info for info in found.values() if info["type"] == "file"]
        files = [_stored(path, file_system, info, is_named=False) for info in infos]
    ours = [file for file in files if _is_ours(file, format_set)]
    if not ours:
        told = f"no file to read is found at {without_secrets(path)}"
        raise SourceMissing(told, "fix the path, or set the format that its files have")
    return sorted(ours, key=lambda file: file.part)


@contextmanager
def _any_error(part: str) -> Iterator[None]:
    """Whatever a file system's library raises where it finds and opens files.

    Those of `s3://` and the like have errors of their own, which Tidemill does not know.
    """
    try:
        yield
    except _UNREADABLE:
        raise
    except Exception as error:
        raise _unreadable(part, f"{type(error).__name__}: {error}") from error


def _with_literal_folders(file_system: Any, name: str) -> str:
    """A glob in which folders that exist under that very name, `[x]` say, mean themselves."""
    for folder in PurePosixPath(name).parents:
        if _is_local(file_system) and file_system.isdir(str(folder)):
            return glob.escape(str(folder)) + name[len(str(folder)) :]
    return name


def _stored(path: str, file_system: Any, info: Mapping[str, Any], is_named: bool) -> StoredFile:
    name = info["name"]
    part = name if _is_local(file_system) else file_system.unstrip_protocol(name)
    if _is_local(file_system) and not path.startswith(("/", "file:", "local:")):
        part = os.path.relpath(name)
    told = any(info.get(key) for key in _STAMPS[1:])
    stamp = "|".join(str(info[key]) for key in _STAMPS if info.get(key) is not None)
    # A name need not be UTF-8.
    part = without_secrets(part).encode(errors="backslashreplace").decode()
    return StoredFile(part, stamp if told else "", is_named, name, file_system)


def _is_ours(file: StoredFile, format_set: bool) -> bool:
    hidden = PurePosixPath(file.part).name.startswith((".", "_"))
    return not hidden and (format_set or file.suffix in FORMATS)


def _is_local(file_system: Any) -> bool:
    return isinstance(file_system, fsspec.get_filesystem_class("file"))


def _is_web(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def without_secrets(path: str) -> str:
    """A path as it may be shown: a URL's user may be a token, its parameters a signature."""
    return _PARAMETERS.sub(r"\1", without_user(path))


def without_user(url: str) -> str:
    """A URL, or words in which some stand, without user names and passwords."""
    return _USER.sub("://", url)


def _unreadable(part: str, detail: object) -> SourceUnreadable:
    return SourceUnreadable(without_secrets(part), without_secrets(str(detail)))
