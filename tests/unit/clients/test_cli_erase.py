"""`tidemill erase` on a workspace's own database."""

import io
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tidemill_cli.main import run
from tidemill_core.domain.split import content_hash
from tidemill_core.storage.storage import open_storage

TEXT = "My name is Ann"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def task(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[str]:
    """Return the workspace's task; commands make files private until the test ends."""
    before = os.umask(0o077)
    os.umask(before)
    assert run(["init"]) == 0
    capsys.readouterr()
    (name,) = [
        line.removeprefix("[tasks.").removesuffix("]")
        for line in (workspace / "tidemill.toml").read_text().splitlines()
        if line.startswith("[tasks.")
    ]
    yield name
    os.umask(before)


def test_a_text_is_asked_for_by_its_hash(
    task: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job is queued, the audit trail has the caller, and no file has the text."""
    assert run(["erase", "texts", task, TEXT, "my  name is ANN", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [each["text_hash"] for each in made["erasures"]] == [content_hash(TEXT)]
    storage = open_storage(f"sqlite:///{workspace / 'var' / 'tidemill.db'}")
    assert storage.jobs.get(made["run_id"]).job == "erase_texts"
    storage.database.close()
    assert run(["audit", "list"]) == 0
    assert "erase texts" in capsys.readouterr().out
    assert run(["erase", "list", task]) == 0
    assert "not yet" in capsys.readouterr().out
    files = [path for path in (workspace / "var").rglob("*") if path.is_file()]
    assert all(TEXT.encode() not in path.read_bytes() for path in files)


def test_an_erasure_that_failed_says_why(
    task: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list of erasures has the error of the last run, and how to try again."""
    assert run(["erase", "texts", task, TEXT, "--json"]) == 0
    storage = open_storage(f"sqlite:///{workspace / 'var' / 'tidemill.db'}")
    claimed = storage.jobs.claim(NOW)
    assert claimed is not None
    storage.jobs.fail(claimed.run_id, "OBJECT_STORAGE_UNAVAILABLE: it does not answer", NOW)
    storage.database.close()
    capsys.readouterr()
    assert run(["erase", "list"]) == 0
    said = capsys.readouterr().err
    assert "failed: OBJECT_STORAGE_UNAVAILABLE: it does not answer" in said
    assert f"tidemill jobs run erase_texts --task {task}" in said


def test_texts_may_be_piped_in(
    task: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line is a text, so none enters a shell's history; blank lines are skipped."""
    lines = io.TextIOWrapper(io.BytesIO(f"{TEXT}\n\nanother\n".encode()))
    monkeypatch.setattr(sys, "stdin", lines)
    assert run(["erase", "texts", task, "-", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["erasures"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"), [(["nope", TEXT], "no task 'nope'"), (["TASK", " "], "no text")]
)
def test_what_cannot_be_erased_is_refused(
    task: str, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown task and an empty text are errors."""
    assert run(["erase", "texts", *(task if each == "TASK" else each for each in arguments)]) == 2
    assert words in capsys.readouterr().err


def test_the_list_says_when_there_is_nothing(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty list prints a sentence."""
    assert run(["erase", "list", task]) == 0
    assert f"no erased texts of {task} yet" in capsys.readouterr().err
    assert run(["erase", "list"]) == 0
    assert f"no erased texts of {task} yet" in capsys.readouterr().err, (
        "the only task need not be named"
    )
    assert run(["erase", "list", "nope"]) == 2
    assert f"there is no task 'nope'; there are: {task}" in capsys.readouterr().err
