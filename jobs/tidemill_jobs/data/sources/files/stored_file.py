"""Files on any storage: how to find them, notice changes and read their bytes."""

import bz2
import gzip
import lzma
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import aiohttp
import fsspec
import pyarrow as pa
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from tidemill_core.durable import cause
from tidemill_core.row_places import FORMATS, is_web, with_literal_folders
from tidemill_jobs.data.sources.errors import SourceMissing, SourceUnreadable

_STAMPS = (
    *("size", "mtime", "created", "ETag", "etag", "LastModified", "last_modified"),
    *("Last-Modified", "Content-MD5", "Digest", "md5Hash", "updated", "modified"),
)
# URLs such as `abfs://container@account` have no user before the @, unless they have a password.
_USER = re.compile(r"://[^/\s@]*:[^/\s]*@|(?<!fs)(?<!fss)://[^/\s]*@")
_PARAMETERS = re.compile(r"(https?://[^?#\s]*)[?#][^\s'\"]*")
_NO_RANGES = "range requests"
"""In fsspec's error for a web server that cannot continue a file at a position."""
_UNREADABLE = (
    *(OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException),
    UnicodeError,  # pyarrow raises it for names in a damaged file
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
        part: its name, for people and in landed rows.
        stamp: changes with the file; empty if the storage has nothing that changes.
        is_named: whether the path names this file, and not a folder or glob.
        size: bytes as stored; None if the storage does not say.
    """

    part: str
    stamp: str
    is_named: bool
    size: int | None
    _name: str
    _file_system: Any = field(repr=False)

    @property
    def suffix(self) -> str:
        """The format's suffix, in lower case: `.csv` of `tickets.CSV.gz`."""
        path = PurePosixPath(self.part.lower())
        return PurePosixPath(path.stem).suffix if self.compression else path.suffix

    @property
    def compression(self) -> str:
        """The suffix of the compression; empty without compression."""
        suffix = PurePosixPath(self.part.lower()).suffix
        return suffix if suffix in _DECOMPRESSORS else ""

    @contextmanager
    def opened(self, watched: list[IO[bytes]] | None = None) -> Iterator[IO[bytes]]:
        """Open the file for its bytes without compression.

        Args:
            watched: gets the file as stored, whose position shows how much of it was read.

        Raises:
            DataError: SOURCE_MISSING or SOURCE_UNREADABLE, also for errors in the block.
        """
        with read_errors(self.part), ExitStack() as opened:
            with _any_error(self.part):
                file = opened.enter_context(self._file_system.open(self._name, "rb"))
            if watched is not None:
                watched.append(file)
            if self.compression:
                file = opened.enter_context(_DECOMPRESSORS[self.compression](file))
            yield file


@contextmanager
def read_errors(part: str) -> Iterator[None]:
    """Convert the block's errors to a DataError that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        # fsspec raises it for each failure of a web server.
        web = error.__cause__
        if isinstance(web, aiohttp.ClientError | TimeoutError) and not _is_gone(web):
            raise _unreadable(part, _web_failure(web)) from error
        raise SourceMissing(f"there is no file {part}", "fix the path") from error
    except EOFError as error:
        raise _unreadable(part, "its compressed content ends in the middle") from error
    except aiohttp.ClientError as error:
        raise _unreadable(part, _web_failure(error)) from error
    except _UNREADABLE as error:
        raise _unreadable(part, cause(error)) from error
    except ValueError as error:
        if _NO_RANGES not in str(error):
            raise
        cure = "download the file, and give its path"
        raise SourceUnreadable(part, "the web server sends no parts of a file", cure) from error


def _is_gone(error: Exception) -> bool:
    return isinstance(error, aiohttp.ClientResponseError) and error.status in (404, 410)


def _web_failure(error: Exception) -> str:
    """Return what went wrong between us and a web server, without the URL."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the server answers {error.status} {error.message}".rstrip()
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} is not known"
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(
        error, aiohttp.ClientSSLError
    ):
        return f"nothing answers at {error.host}:{error.port}"
    if isinstance(error, TimeoutError):
        return "the server took too long to answer"
    return str(error) or type(error).__name__


def stored_files(path: str, format_set: bool, cure: str) -> list[StoredFile]:
    """Return the file, all files below the folder, or the files that match the glob; by name.

    Args:
        path: the path in the settings.
        format_set: whether the settings name the format; otherwise files with an unknown suffix are
            ignored in folders and globs. Hidden files always are.
        cure: what to do if there is no file to read.

    Raises:
        DataError: SOURCE_MISSING or SOURCE_UNREADABLE.
    """
    with read_errors(without_secrets(path)), _any_error(path):
        file_system, name = file_system_of(path)
        file_system.invalidate_cache()
        if is_web(path) or file_system.isfile(name):
            return [_stored(path, file_system, file_system.info(name), is_named=True)]
        if file_system.isdir(name):
            found = file_system.find(name, detail=True)
        else:
            pattern = with_literal_folders(name) if _is_local(file_system) else name
            found = file_system.glob(pattern, detail=True)
        infos = [info for info in found.values() if info["type"] == "file"]
        files = [_stored(path, file_system, info, is_named=False) for info in infos]
    ours = [file for file in files if _is_ours(file, format_set)]
    if not ours:
        raise SourceMissing(f"there is no file to read at {without_secrets(path)}", cure)
    return sorted(ours, key=lambda file: file.part)


def file_system_of(place: str) -> tuple[Any, str]:
    """Return the file system of a path or URL, and its name there."""
    if "://" in place:
        file_system, name = url_to_fs(place)
        return file_system, name
    # fsspec would read `a::b` as a chain of URLs, and `data:x` and `file:x` as URLs.
    at_home = os.path.expanduser(place)  # noqa: PTH111 -- the other one raises for `~x.csv`
    return LocalFileSystem(), str(Path(at_home).absolute())


@contextmanager
def _any_error(part: str) -> Iterator[None]:
    """Convert the other errors of file systems such as `s3://`, which have their own classes."""
    try:
        yield
    except (*_UNREADABLE, aiohttp.ClientError):
        raise
    except Exception as error:
        # They name the package, the protocol or the endpoint.
        known = isinstance(error, ImportError | ValueError) or _is_of_aws(error)
        detail = cause(error) if known else f"{type(error).__name__}: {error}"
        raise _unreadable(part, detail) from error


def _is_of_aws(error: Exception) -> bool:
    return type(error).__module__.startswith("botocore.")


def _stored(path: str, file_system: Any, info: Mapping[str, Any], is_named: bool) -> StoredFile:
    name = info["name"]
    part = name if _is_local(file_system) else file_system.unstrip_protocol(name)
    if _is_local(file_system) and not path.startswith(("/", "file://", "local://")):
        part = os.path.relpath(name)
    shows_changes = any(info.get(key) for key in _STAMPS[1:])
    stamp = "|".join(str(info[key]) for key in _STAMPS if info.get(key) is not None)
    # A file's name may not be UTF-8.
    part = without_secrets(part).encode(errors="backslashreplace").decode()
    return StoredFile(
        part, stamp if shows_changes else "", is_named, info.get("size"), name, file_system
    )


def _is_ours(file: StoredFile, format_set: bool) -> bool:
    hidden = PurePosixPath(file.part).name.startswith((".", "_"))
    return not hidden and (format_set or file.suffix in FORMATS)


def _is_local(file_system: Any) -> bool:
    return isinstance(file_system, fsspec.get_filesystem_class("file"))


def without_secrets(path: str) -> str:
    """Return a path without a URL's user, which may be a token, and parameters."""
    return _PARAMETERS.sub(r"\1", without_user(path))


def without_user(url: str) -> str:
    """Return a URL, or text with URLs, without user names and passwords."""
    return _USER.sub("://", url)


def _unreadable(part: str, detail: object) -> SourceUnreadable:
    return SourceUnreadable(without_secrets(part), without_secrets(str(detail)))
