"""Files with secrets that cannot be read or written."""

from pathlib import Path

import pytest

from tests.plugins.small_disk import fill, mounted
from tidemill_core.prediction_id import load_keys
from tidemill_core.secret_file import SecretFileUnusable, read_or_create
from tidemill_core.text_hash import load_text_key


def test_a_full_disk_is_an_error_with_path_and_cure(tmp_path: Path) -> None:
    """A key that cannot be stored is an error that names its file and what to do."""
    disk = tmp_path / "disk"
    with mounted(disk):
        fill(disk)
        for load in (load_text_key, load_keys):
            with pytest.raises(SecretFileUnusable, match=f"{disk}/.*_key.* make room on the disk"):
                load(disk)


def test_nothing_is_left_of_a_secret_that_was_not_written(tmp_path: Path) -> None:
    """Once there is room again, the secret is created."""
    disk = tmp_path / "disk"
    with mounted(disk):
        (disk / "filler").write_bytes(b"x" * 11_000_000)
        with pytest.raises(SecretFileUnusable):
            read_or_create(disk / "key", lambda: "x" * 2_000_000)
        assert [path.name for path in disk.iterdir()] == ["filler"]
        assert read_or_create(disk / "key", lambda: "secret") == "secret"


@pytest.mark.parametrize("kind", ["folder", "parent is a file", "not text"])
def test_what_is_no_secret_file_is_an_error_that_names_it(tmp_path: Path, kind: str) -> None:
    """A path that cannot hold the secret is named, not reported in the operating system's words."""
    path = tmp_path / "keys" / "key"
    if kind == "folder":
        path.mkdir(parents=True, mode=0o700)
    elif kind == "not text":
        path.parent.mkdir()
        path.write_bytes(b"\xff\xfe")
    else:
        path.parent.touch()
    if path.exists():
        path.chmod(0o700)
    with pytest.raises(SecretFileUnusable, match=f"^{path} "):
        read_or_create(path, lambda: "secret")
