"""The unpacking of a training's result, whose content is not checked yet."""

import shutil
import tarfile
from collections.abc import Collection
from functools import partial
from pathlib import Path

from tidemill_core.errors import DataError

MAX_BYTES = 8 << 30
"""Most bytes of the unpacked files together."""


class SagemakerResultInvalid(DataError):
    """A file of a training's result that cannot be used."""

    def __init__(self, file: str, problem: str) -> None:
        super().__init__("SAGEMAKER_RESULT_INVALID", f"the training's {file} {problem}")


_wrong = partial(SagemakerResultInvalid, "model.tar.gz")


def unpack(archive: Path, folder: Path, names: Collection[str], most: int = MAX_BYTES) -> None:
    """Unpack the named files of an archive, and nothing else.

    Links, devices and files in folders are refused, so no path leads out of `folder`.

    Raises:
        DataError: SAGEMAKER_RESULT_INVALID: it is no archive, lacks a file, has another entry, or
            is too large.
    """
    found: set[str] = set()
    try:
        with tarfile.open(archive, "r|gz") as entries:
            for entry in entries:
                name = entry.name.removeprefix("./")
                if entry.isdir() and name in ("", "."):
                    continue
                if not entry.isreg() or name not in names or name in found:
                    raise _wrong(f"has the entry {entry.name[:200]!r}")
                most -= entry.size
                if most < 0:
                    raise _wrong("is too large")
                found.add(name)
                content = entries.extractfile(entry)
                with (folder / name).open("wb") as file:
                    shutil.copyfileobj(content, file)  # type: ignore[arg-type]  # a file of bytes
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _wrong(f"cannot be unpacked: {error}") from error
    if missing := sorted(set(names) - found):
        raise _wrong(f"has no {', '.join(missing)}")
