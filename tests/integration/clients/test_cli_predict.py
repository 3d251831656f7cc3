"""`tidemill predict` against the real front."""

import io
import json
import sys

import pytest

from tests.integration.server.front import Front
from tidemill_cli.main import run


def test_a_piped_line_that_is_not_utf8_gets_its_own_error(
    front: Front, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines around it are answered; the table and the JSON show the error in its place."""
    asked = ["predict", "support", "-", "--address", front.address]
    lines = b"where is my card?\nd\xe9j\xe0 vu\nmoney back\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert run([*asked, "--json"]) == 1
    before, wrong, after = json.loads(capsys.readouterr().out)
    assert before["label"]
    assert after["label"]
    assert wrong["error"]["reason"] == "NOT_UNICODE"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert run(asked) == 1
    printed = capsys.readouterr()
    assert "not answered: 1 of 3 texts" in printed.err
    assert "NOT_UNICODE" in printed.out.splitlines()[2]
