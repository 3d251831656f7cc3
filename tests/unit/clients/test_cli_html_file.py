"""The option `--html` of all commands that have it."""

from pathlib import Path

import pytest

from tidemill_cli.failure import CannotWrite
from tidemill_cli.html_file import show_found
from tidemill_cli.main import run

NOBODY = "127.0.0.1:1"
COMMANDS = (
    ["datasets", "show"],
    ["evaluate", "labeled.csv"],
    ["models", "show"],
    ["replay", "r.csv", "--task", "x", "--train-before", "2020-01-01", "--until", "2020-01-02"],
    ["reports", "show"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("missing/page.html", "missing/page.html cannot be written: No such file"),
        ("folder.html", "folder.html cannot be written: it is a folder"),
        ("page.txt", "page.txt: the file's name must end in .html or .htm"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    command: list[str],
    page: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No server, workspace or data is read before."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    assert run([*command, "--html", page]) == 2
    assert capsys.readouterr().err.startswith(f"error: {why}")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_that_fails_leaves_no_page(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check before the work writes nothing, and changes no page of an earlier run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", "1")
    assert run([*command, "--html", "new.html"]) != 0
    assert list(tmp_path.glob("*.html")) == []


@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_found_is_printed_if_its_page_cannot_be_written(
    as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder of the page may vanish while the command works; its figures are not lost."""
    page = tmp_path / "gone" / "page.html"
    with pytest.raises(CannotWrite, match=r"page\.html cannot be written: No such file"):
        show_found({"rows": 3}, lambda: print("rows  3"), lambda: "<html>", page, as_json)
    assert capsys.readouterr().out == ('{\n  "rows": 3\n}\n' if as_json else "rows  3\n")


@pytest.mark.parametrize(
    "command",
    [
        ["datasets", "export", "3f9a1c20", "--force", "missing/rows.csv"],
        ["label", "export", "missing/waiting.json"],
        ["preferences", "export", "--out", "file/pairs"],
    ],
    ids=" ".join,
)
def test_a_file_that_cannot_be_written_is_refused_before_the_work(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No server, workspace or data is read before."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert run(command) == 2
    assert "cannot be written: No" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]
