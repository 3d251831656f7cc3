"""The sources that `tidemill doctor` finds."""

import json
from pathlib import Path

import pytest

from tidemill_cli.main import run


@pytest.mark.parametrize("path", ["data[1]/*.csv", "{folder}/data[1]/**/*.csv", "~/rows.csv"])
def test_doctor_finds_the_files_that_a_source_finds(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """A folder that is really named like a glob, and a home, are no missing files."""
    monkeypatch.setenv("HOME", str(workspace))
    (workspace / "data[1]").mkdir()
    for file in (workspace / "rows.csv", workspace / "data[1]" / "rows.csv"):
        file.touch()
    source = f'[[tasks.t.sources]]\npath = "{path.format(folder=workspace)}"\n'
    (workspace / "tidemill.toml").write_text(source)
    run(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["settings"]["found"] == "tasks: t"
