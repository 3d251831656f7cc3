"""Commands that only look at a workspace's database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tidemill_cli.main import run
from tidemill_core.storage.storage import open_storage

LOOKS = ["keys list", "audit list", "erase list", "datasets gc", "backup backup.tar"]
PENDING = "the database is of an earlier release: `tidemill up` migrates it when it starts"


@pytest.fixture(autouse=True)
def initialized(workspace: Path, private: None, capsys: pytest.CaptureFixture[str]) -> Path:  # noqa: ARG001 -- ends what it began
    """Return the database of a new workspace; it does not exist yet."""
    assert run(["init"]) == 0
    capsys.readouterr()
    return workspace / "var" / "tidemill.db"


def test_no_look_creates_a_database(initialized: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first start, lists are empty, and there is nothing to back up."""
    for command in LOOKS:
        assert run(command.split()) == (2 if command.startswith("backup") else 0)
    printed = capsys.readouterr().err
    for said in ("no keys yet", "no admin actions yet", "no erased texts", "no rows can be"):
        assert said in printed
    assert "NOTHING_TO_BACK_UP" in printed
    run(["doctor"])
    assert "the first `tidemill up` creates it" in capsys.readouterr().out
    assert not initialized.exists()


def test_no_look_migrates_a_database(initialized: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A database of an earlier release stays as it is; commands say what migrates it."""
    open_storage(f"sqlite:///{initialized}").database.close()
    with closing(sqlite3.connect(initialized)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0024'")
    for command in LOOKS:
        assert run(command.split()) == 2
        assert f"error: {PENDING} (MIGRATION_PENDING)" in capsys.readouterr().err
    assert run(["status"]) == 3
    assert PENDING in capsys.readouterr().err
    run(["doctor"])
    assert PENDING in capsys.readouterr().out
    with closing(sqlite3.connect(initialized)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("0024",)]
