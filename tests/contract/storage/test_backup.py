"""Backups, from either database into either."""

import io
import sqlite3
import tarfile
from contextlib import chdir, closing
from pathlib import Path

import pytest

from tests.contract.storage.values import NOW, prediction, verdict
from tests.plugins import small_disk
from tidemill_core.backup.restore import DamagedBackup, NotEmpty, restore_backup
from tidemill_core.backup.write import write_backup
from tidemill_core.errors import DataError
from tidemill_core.settings import Settings
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage, open_storage

MODEL = b"weights" * 1000


def ignored(_fraction: float, _step: str) -> None:
    """Ignore progress."""


def workspace(folder: Path, database_url: str = "") -> Settings:
    """Return the settings of a workspace in a folder."""
    folder.mkdir(exist_ok=True)
    with chdir(folder):
        return Settings(
            state_dir=folder / "var",
            model_repository=folder / "models",
            database_url=database_url,
        )


@pytest.fixture
def filled(tmp_path: Path, storage: Storage, database_url: str) -> Settings:
    """A workspace with rows and files."""
    storage.predictions.add([prediction(f"p{number}") for number in range(3)])
    storage.feedback.add([verdict()])
    settings = workspace(tmp_path / "old", database_url)
    files = {
        settings.state_dir / "datasets/support/aa/examples.parquet": b"rows",
        settings.state_dir / "prediction_id_keys.json": b"{}",
        settings.state_dir / "logs/access.log": b"lines",
        settings.state_dir / "datasets/support/.staged/half": b"half",
        settings.model_repository / "support-onnx/1/model.onnx": MODEL,
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with closing(sqlite3.connect(settings.state_dir / "mlflow.db")) as runs, runs:
        runs.execute("CREATE TABLE runs (name TEXT)")
        runs.execute("INSERT INTO runs VALUES ('first')")
    return settings


@pytest.fixture
def backup(filled: Settings, tmp_path: Path) -> Path:
    """Its backup."""
    path = tmp_path / "backup.tar"
    write_backup(filled, path, "0.1.0", NOW, ignored)
    return path


def names(folder: Path) -> set[str]:
    """Return the files below a folder."""
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()}


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_backup_is_restored_whole(
    backup: Path, tmp_path: Path, target: str, request: pytest.FixtureRequest
) -> None:
    """Rows, files and SQLite files of trackers come back, and new rows continue the numbering."""
    url = "" if target == "sqlite" else str(request.getfixturevalue("postgres_url"))
    settings = workspace(tmp_path / "new", url)
    restored = restore_backup(settings, backup, ignored)
    assert (restored.row_counts["predictions"], restored.row_counts["feedback"]) == (3, 1)
    found = names(settings.state_dir) - {"tidemill.db"}
    assert found == {
        "datasets/support/aa/examples.parquet",
        "prediction_id_keys.json",
        "mlflow.db",
    }
    assert (settings.model_repository / "support-onnx/1/model.onnx").read_bytes() == MODEL
    with closing(sqlite3.connect(settings.state_dir / "mlflow.db")) as runs:
        assert runs.execute("SELECT name FROM runs").fetchall() == [("first",)]
    storage = open_storage(settings.effective_database_url)
    assert storage.predictions.get("p1") == prediction("p1")
    (first,) = storage.feedback.page("", "", Page())[0]
    storage.feedback.add([verdict(source="another")])
    assert [each.source for each in storage.feedback.page("", "", Page())[0]] == [
        "another",
        first.source,
    ]
    storage.database.close()


def test_only_its_owner_may_read_it(backup: Path) -> None:
    """It has texts and keys."""
    assert backup.stat().st_mode & 0o077 == 0


def test_a_workspace_with_data_is_left_alone(backup: Path, filled: Settings) -> None:
    """Neither rows nor files are replaced."""
    before = names(filled.state_dir)
    with pytest.raises(NotEmpty, match="the database has rows"):
        restore_backup(filled, backup, ignored)
    assert names(filled.state_dir) == before


def test_files_are_not_replaced(backup: Path, tmp_path: Path) -> None:
    """A workspace whose database is empty keeps the files that it has."""
    settings = workspace(tmp_path / "new")
    kept = settings.model_repository / "support-onnx" / "1" / "model.onnx"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    with pytest.raises(NotEmpty, match="support-onnx exists"):
        restore_backup(settings, backup, ignored)
    assert kept.read_bytes() == b"mine"
    assert names(settings.state_dir) == {"tidemill.db"}


def test_an_empty_workspace_has_no_backup(tmp_path: Path) -> None:
    """A backup from the wrong folder fails, and leaves no file."""
    with pytest.raises(DataError, match="new/var has nothing to back up") as refusal:
        write_backup(workspace(tmp_path / "new"), tmp_path / "empty.tar", "0.1.0", NOW, ignored)
    assert refusal.value.reason == "NOTHING_TO_BACK_UP"
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_a_full_disk_is_named(filled: Settings, tmp_path: Path) -> None:
    """The error is the system's, about the backup's disk, and not that the database is away."""
    small = tmp_path / "small"
    with small_disk.mounted(small):
        small_disk.fill(small)
        for number in range(1, 10):
            (small / f"filler-{number}").unlink()
        with pytest.raises(OSError, match=r"No space left on device: '.*b\.tar'"):
            write_backup(filled, small / "b.tar", "1", NOW, ignored)
        assert not list(small.glob("*b.tar*"))


def test_an_existing_file_is_not_overwritten(backup: Path, filled: Settings) -> None:
    """A second backup needs a name of its own."""
    before = backup.read_bytes()
    with pytest.raises(FileExistsError):
        write_backup(filled, backup, "0.1.0", NOW, ignored)
    assert backup.read_bytes() == before
    assert [each.name for each in backup.parent.iterdir() if each.name.startswith(".")] == []


def _changed(backup: Path) -> bytes:
    content = bytearray(backup.read_bytes())
    place = content.find(MODEL)
    content[place] ^= 1
    return bytes(content)


def _with_member(name: str) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return output.getvalue()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda backup: backup.read_bytes()[:-20_000], "not a whole backup"),
        (_changed, r"models/support-onnx/1/model.onnx is missing or differs"),
        (lambda _: b"", "not a whole backup"),
        (lambda _: b"hello" * 1000, "not a whole backup"),
        (lambda _: _with_member("a"), "backup.json is missing"),
        (lambda _: _with_member("../../evil"), "not a whole backup"),
    ],
)
def test_a_damaged_backup_leaves_nothing(
    backup: Path, tmp_path: Path, damage: object, said: str
) -> None:
    """The error says what is wrong, and the workspace stays without data."""
    damaged = tmp_path / "damaged.tar"
    damaged.write_bytes(damage(backup))
    settings = workspace(tmp_path / "new")
    with pytest.raises(DamagedBackup, match=said):
        restore_backup(settings, damaged, ignored)
    assert names(tmp_path / "new") == {"var/tidemill.db"}
    assert not (tmp_path / "evil").exists()
