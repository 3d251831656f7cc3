"""Files that a command cannot use."""

from pathlib import Path

import pytest

from tidemill_cli.main import run

NOBODY = "127.0.0.1:1"


def test_a_file_that_cannot_be_read_ends_with_2(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error class and the exit code are the same for every command that reads a file."""
    assert workspace.is_dir()
    for command in (
        ["feedback", "import", "missing", "--address", NOBODY],
        ["label", "import", "missing"],
        ["init", "--data", "missing"],
    ):
        assert run(command) == 2
        said = "error: missing cannot be read: No such file or directory\n"
        assert capsys.readouterr().err == said


def test_an_empty_model_file_is_named(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An import whose file is empty is not sent."""
    for name in ("model.onnx", "tokenizer.json", "labels.json"):
        (workspace / name).write_text("" if name == "labels.json" else "some")
    files = ["--model", "model.onnx", "--tokenizer", "tokenizer.json", "--labels", "labels.json"]
    assert run(["models", "import", *files, "--address", NOBODY]) == 2
    assert capsys.readouterr().err == "error: labels.json is empty\n"


def test_a_label_file_that_is_not_json_says_what_to_export(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the file and the format to export, not the parser's position."""
    (workspace / "labels.csv").write_text("text,label\n")
    assert run(["label", "import", "labels.csv"]) == 2
    said = "labels.csv is not a list of tasks: export it from Label Studio as JSON"
    assert said in capsys.readouterr().err
