"""A SQLite file that is moved away, deleted or replaced while it is used."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.storage.values import prediction, verdict
from tidemill_core.errors import StorageUnavailable
from tidemill_core.settings.folders import sqlite_url
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.storage import Storage, existing_storage, open_storage


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a SQLite database with hard characters in its name."""
    return tmp_path / "a b ?x#y%20 & ü.db"


@pytest.fixture
def storage(file: Path) -> Iterator[Storage]:
    """Return storage over a file that has one verdict."""
    opened = open_storage(sqlite_url(file))
    opened.feedback.add([verdict()])
    yield opened
    opened.database.close()


def _stored(storage: Storage) -> int:
    return len(storage.feedback.page("", "", Page(1000))[0])


@pytest.mark.parametrize("remove", [Path.unlink, lambda file: file.rename(f"{file}.away")])
def test_no_new_file_takes_its_place(
    file: Path, storage: Storage, remove: Callable[[Path], object]
) -> None:
    """Reads and writes fail, and say what to do; nothing is acknowledged, and no file is made."""
    remove(file)
    for call in (
        lambda: storage.feedback.add([verdict("p2")]),
        lambda: storage.predictions.add([prediction("p1")]),
        lambda: _stored(storage),
    ):
        with pytest.raises(StorageUnavailable) as refused:
            call()
        assert refused.value.detail.startswith(f"{file} is missing: move it back")
    assert not file.exists()


def test_a_file_that_comes_back_is_used_again(file: Path, storage: Storage) -> None:
    """Once it is back, its rows are there, and rows are added to it."""
    away = file.rename(file.with_name("away.db"))
    with pytest.raises(StorageUnavailable):
        storage.feedback.add([verdict("p2")])
    away.rename(file)
    assert _stored(storage) == 1
    storage.feedback.add([verdict("p2")])
    assert _stored(storage) == 2


def test_a_file_that_replaces_it_is_used(file: Path, storage: Storage) -> None:
    """No connection goes on with the file that had the name before."""
    storage.database.close()
    copy = shutil.copy(file, file.with_name("copy.db"))
    storage.feedback.add([verdict("p2")])
    storage.database.close()
    Path(copy).replace(file)
    assert _stored(storage) == 1


def test_a_process_of_a_running_stack_creates_no_file(file: Path) -> None:
    """It reports a missing file; any other process creates it."""
    url = sqlite_url(file.with_name("new.db"))
    with pytest.raises(StorageUnavailable, match="cannot be reached") as refused:
        open_storage(url, create=False)
    assert "new.db is missing: move it back" in refused.value.detail
    with existing_storage(url) as found:
        assert found is None
    assert not file.with_name("new.db").exists()
    with closing(open_storage(url).database):
        pass
    open_storage(url, create=False).database.close()


def test_only_opening_a_storage_creates_a_file(file: Path) -> None:
    """A look at a database that is not there fails."""
    database = Database(sqlite_url(file))
    with closing(database), pytest.raises(StorageUnavailable), database.read():
        pass
    assert not file.exists()


def test_a_path_through_a_link_means_what_it_meant(tmp_path: Path) -> None:
    """SQLAlchemy removes `..` before it follows links, so the same file is checked and opened."""
    (tmp_path / "far" / "folder").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "folder")
    open_storage(f"sqlite:///{tmp_path}/link/../here.db").database.close()
    assert (tmp_path / "here.db").exists()
