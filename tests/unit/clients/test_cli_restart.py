"""`tidemill restart` and `tidemill --version` without a running stack."""

import signal
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.plugins.small_disk import clear, fill, mounted
from tidemill_cli.main import run
from tidemill_core.supervisor import RESTART_SIGNAL, StateDirectoryLock


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the installed package, and the exit code is 0."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tidemill {version('tidemill')}\n"


def test_without_a_stack_there_is_nothing_to_restart(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 3, and the message has the state directory and what to do."""
    (workspace / "var").mkdir()
    assert run(["restart"]) == 3
    said = capsys.readouterr().err.replace("\n", "")
    assert str(workspace / "var") in said
    assert "tidemill up" in said


def test_on_a_full_disk_no_worker_is_asked_to_end(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worker that ends there loses the predictions that it holds, so the disk comes first."""
    asked: list[int] = []
    before = signal.signal(RESTART_SIGNAL, lambda number, _: asked.append(number))
    disk = workspace / "disk"
    with mounted(disk):
        monkeypatch.setenv("TIDEMILL_STATE_DIR", str(disk))
        lock = StateDirectoryLock(disk)
        lock.acquire()
        fill(disk)
        assert run(["restart"]) == 1
        clear(disk)
        lock.release()
    signal.signal(RESTART_SIGNAL, before)
    assert not asked
    assert "No space left on device): free space first" in capsys.readouterr().err
