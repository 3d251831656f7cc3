"""The unpacking of what SageMaker brought."""

import io
import tarfile
from pathlib import Path

import pytest

from tidemill_core.errors import DataError
from tidemill_jobs.training.sagemaker.artifact import unpack

NAMES = ("model", "tokenizer.json")


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 3) -> tarfile.TarInfo:
    """Return the header of an entry."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    return info


def pack(path: Path, *entries: tarfile.TarInfo) -> Path:
    """Write an archive."""
    with tarfile.open(path, "w:gz") as archive:
        for info in entries:
            archive.addfile(info, io.BytesIO(b"x" * info.size) if info.isreg() else None)
    return path


def test_the_named_files_are_unpacked(tmp_path: Path) -> None:
    """Files with and without `./` before their name are there, and the folder itself may be."""
    whole = (entry(".", tarfile.DIRTYPE, 0), entry("./model"), entry("tokenizer.json"))
    unpack(pack(tmp_path / "a.tar.gz", *whole), tmp_path, NAMES)
    assert (tmp_path / "model").read_bytes() == b"xxx"


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ([entry("../model")], "has the entry"),
        ([entry("/tmp/model")], "has the entry"),  # noqa: S108 -- a name in an archive
        ([entry("model", tarfile.SYMTYPE, 0)], "has the entry"),
        ([entry("model", tarfile.LNKTYPE, 0)], "has the entry"),
        ([entry("model", tarfile.FIFOTYPE, 0)], "has the entry"),
        ([entry("model"), entry("model")], "has the entry"),
        ([entry("model"), entry("code.pkl")], "has the entry"),
        ([entry("folder/model")], "has the entry"),
        ([entry("model", size=101)], "is too large"),
        ([entry("model")], "has no tokenizer.json"),
    ],
)
def test_other_archives_are_refused(
    tmp_path: Path, entries: list[tarfile.TarInfo], found: str
) -> None:
    """Nothing but the named files is accepted, each once and within the bound."""
    with pytest.raises(DataError, match=found):
        unpack(pack(tmp_path / "a.tar.gz", *entries), tmp_path, NAMES, most=100)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """A file that is cut, or something else, is refused."""
    whole = pack(tmp_path / "a.tar.gz", *map(entry, NAMES)).read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2]):
        (tmp_path / "b.tar.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"model\.tar\.gz"):
            unpack(tmp_path / "b.tar.gz", tmp_path, NAMES)
