"""`tidemill restore` of files that are no backup, and into a workspace with other tasks."""

from pathlib import Path

import pytest

from tidemill_cli.main import run
from tidemill_core.settings import load_settings


@pytest.mark.parametrize(
    ("name", "why"), [("nope.tar", "No such file or directory"), (".", "Is a directory")]
)
@pytest.mark.usefixtures("workspace")
def test_a_file_that_cannot_be_read_is_named(
    name: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error has the system's reason."""
    assert run(["init"]) == 0
    capsys.readouterr()
    assert run(["restore", name]) == 2
    assert capsys.readouterr().err == f"error: {name} cannot be read: {why}\n"


@pytest.mark.usefixtures("private")
def test_tasks_that_the_settings_do_not_have_are_named(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their rows and files are restored, and would be missed later."""
    for task in ("ours", "theirs"):
        assert run(["init", task, "--task", task]) == 0
    monkeypatch.chdir(workspace / "ours")
    version = load_settings().state_dir / "datasets" / "ours" / "aa" / "examples.parquet"
    version.parent.mkdir(parents=True)
    version.write_bytes(b"rows")
    assert run(["keys", "create", "--name", "me", "--scope", "predict"]) == 0
    assert run(["backup", str(workspace / "b.tar")]) == 0
    monkeypatch.chdir(workspace / "theirs")
    capsys.readouterr()
    assert run(["restore", str(workspace / "b.tar")]) == 0
    assert (
        "tidemill.toml has no task ours: add it, or its data stays unused"
        in capsys.readouterr().err
    )
