"""`tidemill preferences` against the real front."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest

from tests.integration.server.front import Front
from tidemill.v1.feedback_service_pb2 import SubmitPreferenceRequest
from tidemill_cli.main import run

Tidemill = Callable[..., Any]


@pytest.fixture
def tidemill(front: Front, capsys: pytest.CaptureFixture[str]) -> Tidemill:
    """Run `tidemill preferences`; return its JSON, or its stderr if it should fail."""

    def call(*arguments: str, ends_with: int = 0) -> Any:
        capsys.readouterr()
        code = run(["preferences", *arguments, "--address", front.address, "--json"])
        printed = capsys.readouterr()
        assert code == ends_with, printed
        return printed.err if ends_with else json.loads(printed.out)

    return call


def judge(tidemill: Tidemill, task: str, annotator: str, *texts: str) -> Any:
    """Submit one judgement: prompt, chosen, rejected."""
    names = ("--prompt", "--chosen", "--rejected")
    given = [word for pair in zip(names, texts, strict=True) for word in pair]
    return tidemill("submit", *given, "--task", task, "--annotator", annotator)


def test_from_judgements_to_files(tidemill: Tidemill, tmp_path: Path) -> None:
    """Judgements are listed, counted, and exported by majority without ties."""
    card = ("where is my card?", "sent on Monday", "no idea")
    first = judge(tidemill, "swapped", "ana", card[0], card[2], card[1])
    turned = judge(tidemill, "swapped", "ana", *card)
    assert turned["replaced_preference_id"] == first["preference_id"]
    judge(tidemill, "swapped", "ben", *card)
    judge(tidemill, "swapped", "ben", "refund?", "yes", "no")
    judge(tidemill, "swapped", "ana", "refund?", "no", "yes")
    judge(tidemill, "swapped", "ana", "漢字?", "é", "🎉")
    listed = tidemill("list", "--task", "swapped", "--limit", "2")
    assert [one["prompt"] for one in listed] == ["漢字?", "refund?"]
    found = tidemill("stats", "--task", "swapped")
    assert (found["judgements"], found["votes"], found["annotators"]) == (6, 5, 2)
    assert (found["pairs"], found["ties"], found["judged_by_several"]) == (3, 1, 2)
    assert (found["agreement"], found["disagreed"]) == (0.5, 1)
    expected = [dict(zip(("prompt", "chosen", "rejected"), card, strict=True))]
    expected += [{"prompt": "漢字?", "chosen": "é", "rejected": "🎉"}]
    for file_format in ("jsonl", "parquet"):
        asked = ("--task", "swapped", "--format", file_format, "--out", str(tmp_path / file_format))
        exported = tidemill("export", *asked)
        assert (exported["ties"], sum(exported["rows"].values())) == (1, 2)
        rows = [row for path in map(Path, exported["files"]) for row in read(path)]
        assert sorted(rows, key=lambda row: row["prompt"]) == expected


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of an exported file."""
    if path.suffix == ".parquet":
        return polars.read_parquet(path).to_dicts()
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_more_judgements_than_a_page_are_all_exported(tidemill: Tidemill, front: Front) -> None:
    """Statistics and exports read all pages."""
    for number in range(205):
        request = SubmitPreferenceRequest(
            task="mixed", prompt=f"p{number}", chosen="x", rejected="y", annotator="ana"
        )
        front.feedback.SubmitPreference(request, timeout=10)
    assert tidemill("stats", "--task", "mixed")["pairs"] == 205


def test_what_the_server_refuses_is_reported(tidemill: Tidemill) -> None:
    """The message has the reason and the field, and the command ends with 2."""
    asked = ("--task", "support", "--prompt", "p", "--chosen", "Yes", "--rejected", "yes ")
    told = tidemill("submit", *asked, ends_with=2)
    assert "rejected: is the same answer as chosen" in told
    assert "SAME_ANSWER" in told


def test_nothing_to_export_is_said(tidemill: Tidemill, tmp_path: Path) -> None:
    """If no pair has a majority, no folder is created."""
    asked = ("export", "--task", "untrained", "--out", str(tmp_path / "pairs"))
    assert "nothing to export; ties: 0 of 0 pairs" in tidemill(*asked, ends_with=1)
    judge(tidemill, "untrained", "ana", "p", "x", "y")
    judge(tidemill, "untrained", "ben", "p", "y", "x")
    assert "ties: 1 of 1 pair" in tidemill(*asked, ends_with=1)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_takes_no_files_is_named(tidemill: Tidemill, tmp_path: Path) -> None:
    """An existing folder stays unchanged; one below a file cannot be created. Both end with 2."""
    judge(tidemill, "support", "ana", "p", "x", "y")
    (tmp_path / "kept").touch()
    told = tidemill("export", "--out", str(tmp_path), ends_with=2)
    assert "already exists: name a new folder" in told
    told = tidemill("export", "--out", str(tmp_path / "kept" / "pairs"), ends_with=2)
    assert "cannot be written" in told
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_one_of_several_tasks_must_be_named(tidemill: Tidemill) -> None:
    """If the server has several tasks, one must be named; '' is for a pair without a task."""
    asked = ("--prompt", "p", "--chosen", "Yes", "--rejected", "No")
    told = tidemill("submit", *asked, ends_with=2)
    assert "name the task; there are: " in told
    assert "support" in told
    assert tidemill("submit", *asked, "--task", "")["task"] == ""
