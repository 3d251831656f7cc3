"""`tidemill restart` and `tidemill --version` without a running stack."""

from importlib.metadata import version
from pathlib import Path

import pytest

from tidemill_cli.main import run


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
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
