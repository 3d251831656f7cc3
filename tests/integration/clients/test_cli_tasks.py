"""The task of a command, against the real front."""

from pathlib import Path

import pytest

from tests.integration.server.front import Front
from tidemill_cli.main import run


@pytest.mark.parametrize(
    "command",
    [
        "preferences list --task",
        "preferences stats --task",
        "preferences export --out pairs --task",
        "feedback list --task",
        "label list --task",
        "label agreement --task",
        "label export waiting.json --task",
        "models list --task",
        "models show",
        "models reproduce",
        "models rollback",
        "models traffic",
        "models deployments",
        "datasets list --task",
        "jobs runs --task",
        "jobs run retrain --task",
        "reports list --task",
        "alerts list --task",
    ],
)
def test_a_task_that_does_not_exist_is_said(
    command: str,
    front: Front,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every command with a task lists the existing ones and ends with 2; no list is empty."""
    monkeypatch.chdir(tmp_path)
    assert run([*command.split(), "nope", "--address", front.address]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "there is no task 'nope'; there are: mixed, " in printed.err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("alerts list --task untrained", "no alerts"),
        (
            "datasets list --task untrained",
            "no dataset versions yet; `tidemill jobs run build_dataset` builds one",
        ),
        ("feedback held --task undone", "no held verdicts"),
        ("feedback list --task undone", "no feedback yet"),
        ("jobs runs --all --task undone", "no runs yet"),
        ("label list --task undone", "no texts for people yet"),
        (
            "models list --task untrained",
            "no model versions yet; `tidemill jobs run retrain` trains one",
        ),
        ("preferences list --task undone", "no judgements yet"),
        ("reports list --task untrained", "no reports yet; the checks run on a schedule"),
    ],
)
def test_an_empty_list_is_said_in_one_way(
    command: str, words: str, front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names what there is none of, and what makes the first one if a person can."""
    asked = [*command.split(), "--address", front.address]
    assert run(asked) == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", f"{words}\n")
    assert run([*asked, "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("jobs runs --job nope", "there is no job 'nope'; there are: "),
        ("reports list --kind nope", "'accuracy', 'drift', 'feedback'"),
    ],
)
def test_a_filter_that_matches_nothing_by_mistake_is_said(
    command: str, words: str, front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job or a kind of report that does not exist is an error, never an empty list."""
    assert run([*command.split(), "--address", front.address]) == 2
    assert words in " ".join(capsys.readouterr().err.replace("\u2502", " ").split())


def test_outside_a_workspace_the_server_names_its_tasks(
    front: Front,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A folder without settings has no tasks, so those of the server that answers count."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", front.address.rpartition(":")[2])
    assert run(["models", "show"]) == 2
    error = capsys.readouterr().err
    assert "name the task; there are: " in error
    assert "mixed, " in error
