"""The format and the lines of a file of examples on this machine."""

import bz2
import gzip
import io
import lzma
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import IO, Any

from tidemill_cli.failure import CannotRead, WrongUsage

_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_SPREADSHEET = "save it as CSV"
_FOREIGN = {
    ".json": "write one object per line, and name it .jsonl or add --format jsonl",
    ".xlsx": _SPREADSHEET,
    ".xls": _SPREADSHEET,
    ".ods": _SPREADSHEET,
}


def _zstandard(raw: IO[bytes]) -> Any:
    from tidemill_cli.local import require_extras

    require_extras()
    import pyarrow

    return pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), "zstd")


_DECOMPRESSORS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstandard,
}
# The decoder turns bytes that the encoding does not have into these. UTF-16 begins with two.
_UNDECODED = re.compile("[\udc80-\udcff]")
_UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")


def format_of(path: Path, named: str | None) -> str:
    """Return the format in which the source will read a file: `csv`, `jsonl` or `parquet`.

    Args:
        path: the file; its suffix, without that of a compression, gives the format.
        named: the format that the user named, if any.

    Raises:
        WrongUsage: the suffix is that of a format that no source reads.
    """
    suffix = PurePath(without_compression(path).lower()).suffix
    if named is None and suffix in _FOREIGN:
        raise WrongUsage(f"{path} is neither CSV, JSON Lines nor Parquet: {_FOREIGN[suffix]}")
    return named or _FORMATS.get(suffix, "csv")


def without_compression(path: Path) -> str:
    """Return a file's name without the suffix of a compression."""
    return path.stem if path.suffix.lower() in _DECOMPRESSORS else path.name


def text_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file with their ends.

    Raises:
        CannotRead: the file cannot be read.
        WrongUsage: the file does not have this encoding, or the encoding does not exist.
    """
    try:
        with path.open("rb") as raw:
            opener = _DECOMPRESSORS.get(path.suffix.lower())
            plain = raw if opener is None else opener(raw)
            text = io.TextIOWrapper(plain, encoding, errors="surrogateescape", newline="")
            for number, line in enumerate(text, start=1):
                _check_encoding(path, number, line, encoding)
                yield line
    except LookupError as error:
        raise WrongUsage(f"there is no encoding {encoding!r}") from error
    except UnicodeError as error:
        raise WrongUsage(f"{path} is not {_shown(encoding)}: {error}") from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise CannotRead(path, error) from error


def _check_encoding(path: Path, number: int, line: str, encoding: str) -> None:
    if line.isascii() and "\0" not in line:
        return
    if number == 1 and ("\0" in line or line.startswith(_UTF_16)):
        raise WrongUsage(f"{path} is not {_shown(encoding)} but UTF-16: add --encoding utf-16")
    if _UNDECODED.search(line):
        raise WrongUsage(
            f"{path}, line {number}: not {_shown(encoding)}; name the file's encoding, such as "
            "--encoding cp1252 for Latin-1 from Windows"
        )


def _shown(encoding: str) -> str:
    return encoding.upper().removesuffix("-SIG")
