"""The format and the lines of a file of examples on this machine."""

import bz2
import codecs
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

    plain = pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), "zstd")
    return io.BufferedReader(plain)


_BEGINNING = 1000
_DECOMPRESSORS: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstandard,
}
# The decoder turns bytes that the encoding does not have into these.
_UNDECODED = re.compile("[\udc80-\udcff]")
# The first bytes of files that are no text in an encoding of single bytes, and what to do.
_FIRST_BYTES = (
    (rb"\xff\xfe\0\0|\0\0\xfe\xff", "UTF-32: add --encoding utf-32"),
    (rb"\xff\xfe|\xfe\xff", "UTF-16: add --encoding utf-16"),
    (rb"PK\x03\x04", "a ZIP archive, as spreadsheets are: unpack it, or save it as CSV"),
    (rb"\x1f\x8b", "compressed: its name must end in .gz"),
    (rb"BZh[1-9]1AY&SY", "compressed: its name must end in .bz2"),
    (rb"\xfd7zXZ", "compressed: its name must end in .xz"),
    (rb"\x28\xb5\x2f\xfd", "compressed: its name must end in .zst"),
    (rb"PAR1[^ -~]", "Parquet: add --format parquet"),
    (rb"([^\0]\0){3}", "UTF-16: add --encoding utf-16-le"),
    (rb"(\0[^\0]){3}", "UTF-16: add --encoding utf-16-be"),
    (rb"[^\r\n]*\0", "binary: save it as CSV, JSON Lines or Parquet"),
)


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
            _check_first_bytes(path, text.buffer, encoding)
            for number, line in enumerate(text, start=1):
                _check_encoding(path, number, line, encoding)
                yield line
    except LookupError as error:
        raise WrongUsage(f"there is no encoding {encoding!r}") from error
    except UnicodeError as error:
        raise WrongUsage(f"{path} is not {_shown(encoding)}: {error}") from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise CannotRead(path, error) from error


def _check_first_bytes(path: Path, content: Any, encoding: str) -> None:
    """Refuse a file that is not in the encoding, if its first bytes say what it is."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        return
    beginning = content.peek(_BEGINNING)[:_BEGINNING]
    for pattern, found in _FIRST_BYTES:
        if re.match(pattern, beginning):
            raise WrongUsage(f"{path} is not {_shown(encoding)} but {found}")


def _check_encoding(path: Path, number: int, line: str, encoding: str) -> None:
    if line.isascii():
        return
    if _UNDECODED.search(line):
        raise WrongUsage(
            f"{path}, line {number}: not {_shown(encoding)}; name the file's encoding, such as "
            "--encoding cp1252 for Latin-1 from Windows"
        )


def _shown(encoding: str) -> str:
    return encoding.upper().removesuffix("-SIG")
