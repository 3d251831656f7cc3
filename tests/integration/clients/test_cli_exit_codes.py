"""The exit codes of commands that fail, against the real front."""

from pathlib import Path

import pytest

from tests.integration.server.front import Front
from tidemill_cli.main import run

NO_ID = "0" * 64


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("models traffic support --canary 2=120", 2),
        ("models traffic support --canary 2", 2),
        ("models promote support 99", 2),
        ("models rollback nope", 2),
        ("predict support text --model-version 99", 2),
        ("feedback submit x --correct", 2),
        ("feedback import missing.jsonl", 2),
        ("preferences export --task mixed --out file/pairs", 2),
        ("label export missing/waiting.json --task mixed", 2),
        (f"datasets show {NO_ID}", 2),
        (f"jobs show {NO_ID}", 2),
        (f"reports show {NO_ID}", 2),
        (f"alerts ack {NO_ID}", 2),
        ("models promote support 1", 1),
        ("models rollback untrained", 1),
        ("predict untrained text", 1),
        ("preferences export --task undone --out pairs", 1),
    ],
)
def test_what_is_wrong_ends_with_2_and_what_is_refused_with_1(
    command: str,
    code: int,
    front: Front,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The code tells a wrong option, name or file from a state that does not allow the request."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert run([*command.split(), "--address", front.address]) == code
    assert capsys.readouterr().err.startswith(("error: ", "Usage: "))
