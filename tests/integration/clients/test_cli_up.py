"""`tidemill up` while the database does not answer."""

import contextlib
import socket
import sqlite3
from pathlib import Path

import pytest

from tests.plugins.stack import Stack, write_workspace
from tests.plugins.waiting import wait_until
from tidemill_cli.startup import Startup
from tidemill_core.settings import load_settings

AWAY = "the database cannot be reached, is locked or is full: "


def test_up_waits_for_the_database(tmp_path: Path) -> None:
    """It says once what it waits for, no process dies of it, and Ctrl-C ends everything cleanly."""
    write_workspace(tmp_path, {"support": tmp_path / "rows.csv", "spam": tmp_path / "rows.csv"})
    away = {"TIDEMILL_DATABASE_URL": "postgresql+psycopg://ann@127.0.0.1:1/mill"}
    stack = Stack(tmp_path, away)

    def log(name: str) -> str:
        file = tmp_path / "var" / "logs" / f"{name}.log"
        return file.read_text() if file.exists() else ""

    stack.start()
    try:
        for name in ("triton", "jobs", "server-1"):
            wait_until(
                lambda name=name: "waiting_for_database" in log(name),
                f"{name} waits",
            )
        wait_until(lambda: AWAY in stack.said(), "up says that it waits")
        said = stack.said()
        assert said.count(AWAY) == 1
        assert "Connection refused" in said
        assert "waiting for it; Ctrl-C stops" in said
        assert "restarts" not in said
    finally:
        code = stack.stop()
    assert code == 0


def test_a_start_goes_on_once_the_database_is_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is locked for longer than a statement waits ends no start."""
    write_workspace(tmp_path, {"support": tmp_path / "rows.csv"})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    file = tmp_path / "var" / "tidemill.db"
    with (
        contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other,
        Startup(load_settings()) as startup,
    ):
        other.execute("BEGIN EXCLUSIVE")
        (task,) = startup.look()
        assert task.message == "waits for the database"
        assert "is locked" in task.new_error
        other.execute("ROLLBACK")
        (task,) = startup.look()
        assert (task.message, task.new_error) == ("starting", "")


def test_one_task_waits_for_a_silent_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wait takes seconds in which Ctrl-C is not heard, so the tasks share one."""
    rows = tmp_path / "rows.csv"
    write_workspace(tmp_path, {"support": rows, "spam": rows, "news": rows})
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://ann@127.0.0.1:{silent.getsockname()[1]}/mill"
        monkeypatch.setenv("TIDEMILL_DATABASE_URL", url)
        with Startup(load_settings()) as startup:
            tasks = startup.look()
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
    assert {task.message for task in tasks} == {"waits for the database"}
    assert sum(AWAY in task.new_error for task in tasks) == 1
