"""`tidemill label` against the real front, in a terminal and without."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.contract.storage.values import dataset, label_request
from tests.integration.clients.terminal import Terminal
from tests.integration.server.front import Front, Workspace
from tidemill_cli.main import run
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.labeling import LabelItem, LabelItemState
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage

TASK, MANY = "mixed", "swapped"
"""Tasks with two labels and with forty."""

Tidemill = Callable[..., Any]


@pytest.fixture
def storage(workspace: Workspace) -> Storage:
    """Yield the front's storage, without waiting items, and with known labels."""
    storage = workspace.storage
    many = {f"{word}_{n}": 1 for word in ("card", "fee") for n in range(20)}
    known = dataset("f" * 64, MANY)
    storage.datasets.add(DatasetVersion(**{**vars(known), "label_counts": many}))
    storage.datasets.add(dataset("e" * 64, TASK))
    for task in (TASK, MANY):
        storage.label_items.expire_texts(task, datetime.now(UTC), 10_000)
    return storage


def queue(storage: Storage, *texts: str, wanted: int = 1, **changes: Any) -> None:
    """Queue texts of TASK."""
    now = datetime.now(UTC)
    fields = {"task": TASK, "text_time": now, **changes}
    storage.label_items.add([label_request(text, **fields) for text in texts], wanted, now)


def items(storage: Storage, *states: LabelItemState, task: str = TASK) -> list[LabelItem]:
    """Return items with their texts, oldest first."""
    found, _ = storage.label_items.page(task, states, None, Page(1000), datetime.now(UTC))
    return [item for item in found[::-1] if item.text]


@pytest.fixture
def tidemill(front: Front, capsys: pytest.CaptureFixture[str]) -> Tidemill:
    """Run `tidemill label`; return its JSON, or its stdout and stderr if it should fail."""

    def call(*arguments: str, ends_with: int = 0) -> Any:
        capsys.readouterr()
        code = run(["label", *arguments, "--address", front.address, "--json"])
        printed = capsys.readouterr()
        assert code == ends_with, printed
        return (printed.out, printed.err) if ends_with else json.loads(printed.out)

    return call


def label(front: Front, task: str, annotator: str = "ana") -> Terminal:
    """Run `tidemill label` in a terminal."""
    options = ["--task", task, "--annotator", annotator, "--address", front.address]
    return Terminal(["label", *options])


def test_one_key_a_label(front: Front, storage: Storage) -> None:
    """A person labels, skips and ends; the progress is shown, and the labels are stored."""
    queue(storage, "my card\nis lost", "a fee", "a loan", suggested_labels=("b",))
    with label(front, TASK) as terminal:
        terminal.expect("0 labeled, 3 waiting · UNCERTAIN")
        terminal.expect("is lost")
        terminal.expect("suggested: b")
        terminal.expect("[1] a  [2] b")
        terminal.expect("key:")
        terminal.press("2")
        terminal.expect("→ b")
        terminal.expect("1 labeled, 2 waiting")
        terminal.expect("key:")
        terminal.press(" ")
        terminal.expect("a loan")
        terminal.expect("key:")
        terminal.press("\x04")
        terminal.expect("1 labeled, 1 skipped, 2 still wait")
        assert terminal.end() == 0
    found = [(item.text, item.state, item.label) for item in items(storage)]
    assert found == [
        ("my card\nis lost", "DONE", "b"),
        ("a fee", "LEASED", ""),
        ("a loan", "LEASED", ""),
    ]


def test_a_search_for_many_labels(front: Front, storage: Storage) -> None:
    """A part of a label is enough, the arrows choose, and the session ends when no text waits."""
    queue(storage, "one", "two", task=MANY)
    with label(front, MANY) as terminal:
        terminal.expect("type a part of a label")
        terminal.expect("label:")
        terminal.press("D_19\r")
        terminal.expect("→ card_19")
        terminal.expect("label:")
        terminal.press("fee_1")
        terminal.expect("fee_10")  # the menu
        terminal.press("\x1b[B\x1b[B\r")
        terminal.expect("→ fee_10")
        terminal.expect("2 labeled, 0 skipped, 0 still wait")
        assert terminal.end() == 0
    assert [item.label for item in items(storage, task=MANY)] == ["card_19", "fee_10"]


def annotated(item: LabelItem, *given: tuple[str, str]) -> dict[str, Any]:
    """Return a task of Label Studio, with an annotator and a label for each annotation."""
    return {
        "data": {"task": item.task, "label_item_id": item.label_item_id},
        "annotations": [
            {
                "completed_by": {"email": annotator},
                "result": [{"type": "choices", "value": {"choices": [label]}}],
            }
            for annotator, label in given
        ],
    }


@pytest.fixture
def imported(tidemill: Tidemill, tmp_path: Path) -> Tidemill:
    """Import tasks; see `tidemill`."""

    def call(*tasks: Any, options: Sequence[str] = (), ends_with: int = 0) -> Any:
        file = tmp_path / "annotated.json"
        file.write_text(json.dumps(tasks))
        return tidemill("import", str(file), *options, ends_with=ends_with)

    return call


def test_who_is_late_goes_on(front: Front, storage: Storage, imported: Tidemill) -> None:
    """A decision of others is shown, and does not end the session."""
    queue(storage, "one", "two")
    with label(front, TASK) as terminal:
        terminal.expect("key:")
        imported(annotated(items(storage)[0], ("ben", "a")))
        terminal.press("1")
        terminal.expect("not stored: the item is DONE")
        terminal.expect("key:")
        terminal.press("1")
        terminal.expect("1 labeled, 0 skipped, 0 still wait")
        assert terminal.end() == 0


def test_through_label_studio(
    storage: Storage, tidemill: Tidemill, imported: Tidemill, tmp_path: Path
) -> None:
    """Waiting items are exported; their annotations are imported, twice without harm."""
    queue(storage, "漢字 one", "two", "three", wanted=2, suggested_labels=("a",))
    file = tmp_path / "waiting.json"
    assert tidemill("export", str(file), "--task", TASK)["tasks"] == 3
    tasks = json.loads(file.read_bytes())
    assert [task["data"]["text"] for task in tasks] == ["漢字 one", "two", "three"]
    said = (("ana", "a"), ("ben", "a")), (("ana", "b"), ("ben", "b")), (("ana", "a"), ("ben", "b"))
    back = [
        {**task, "annotations": annotated(item, *given)["annotations"]}
        for task, item, given in zip(tasks, items(storage), said, strict=True)
    ]
    for _ in range(2):
        assert imported(*back) == {"accepted": 6, "rejected": 0, "rejections": []}
    assert [(item.state, item.label) for item in items(storage)] == [
        ("DONE", "a"),
        ("DONE", "b"),
        ("OPEN", ""),
    ]
    [undecided] = tidemill("list", "--task", TASK, "--state", "OPEN")
    assert [each["label"] for each in undecided["judgements"]] == ["a", "b"]
    assert tidemill("export", str(tmp_path / "rest.json"), "--task", TASK)["tasks"] == 1


def test_agreement_is_of_one_task(storage: Storage, tidemill: Tidemill, imported: Tidemill) -> None:
    """By hand: two of three items with two judgements agree, so alpha = 1 - 5 * 1 / (3 * 3)."""
    queue(storage, "x", "y", "z", wanted=2, task="untrained")
    given = ("a", "a"), ("b", "b"), ("a", "b")
    waiting = items(storage, task="untrained")
    imported(
        *(
            annotated(item, ("ana", first), ("ben", second))
            for item, (first, second) in zip(waiting, given, strict=True)
        )
    )
    found = tidemill("agreement", "--task", "untrained")
    assert (found["judgements"], found["annotators"], found["judged_by_several"]) == (6, 2, 3)
    assert found["agreed"] == 2
    assert found["alpha"] == pytest.approx(1 - 5 * 1 / (3 * 3))


def test_what_cannot_be_imported_is_reported(storage: Storage, imported: Tidemill) -> None:
    """An invalid task stores nothing; a refused annotation does not stop the others."""
    queue(storage, "one", "two")
    one, two = items(storage)
    unsound = annotated(one, ("ana", "a"), ("ben", "b"))
    unsound["annotations"][1]["result"] = []
    strange = annotated(one, ("ana", "x" * 201))
    lost = {**annotated(one, ("ana", "a")), "data": {"task": TASK, "label_item_id": "lost"}}
    out, err = imported(
        unsound, strange, lost, "no task", annotated(two, ("ana", "b")), ends_with=1
    )
    told = json.loads(out)
    assert told["accepted"] == 1
    assert [(each["row"], each["annotator"], each["reason"]) for each in told["rejections"]] == [
        (1, "", "UNREADABLE_TASK"),
        (2, "ana", "VALUE_TOO_LONG"),
        (3, "ana", "LABEL_ITEM_NOT_FOUND"),
        (4, "", "UNREADABLE_TASK"),
    ]
    assert "not stored: 4" in err
    assert [item.label for item in items(storage)] == ["", "b"]


def _said(storage: Storage, *labels: str) -> list[dict[str, Any]]:
    """Return tasks of Label Studio, each a new item with ana's label."""
    queue(storage, *[f"text {number}" for number in range(len(labels))])
    return [
        annotated(item, ("ana", label)) for item, label in zip(items(storage), labels, strict=True)
    ]


def test_a_new_label_is_not_taken_in_silence(storage: Storage, imported: Tidemill) -> None:
    """Without a terminal, the error has similar labels and the option that accepts the label."""
    many = {"card_arrival": 1, "lost_card": 1}
    storage.datasets.add(DatasetVersion(**{**vars(dataset("c" * 64, TASK)), "label_counts": many}))
    tasks = _said(storage, "card_arival", "lost_card", "card_arival", "it's new")
    out, err = imported(*tasks, ends_with=1)
    told = json.loads(out)
    assert told["accepted"] == 1
    assert [(each["row"], each["reason"]) for each in told["rejections"]] == [
        (1, "UNKNOWN_LABEL"),
        (3, "UNKNOWN_LABEL"),
        (4, "UNKNOWN_LABEL"),
    ]
    assert "did you mean 'card_arrival'?" in told["rejections"][0]["message"]
    assert "not stored: 3; to accept new labels, import the file again with" in err
    assert "--new-label card_arival --new-label 'it'\"'\"'s new'" in err
    assert [item.label for item in items(storage)] == ["", "lost_card", "", ""]
    told = imported(*tasks, options=["--new-label", "card_arival", "--new-label", "it's new"])
    assert (told["accepted"], told["rejected"]) == (4, 0)
    assert [item.label for item in items(storage)][::3] == ["card_arival", "it's new"]


def test_a_person_is_asked_about_a_new_label(
    front: Front, storage: Storage, tmp_path: Path
) -> None:
    """There is one question per label, however many rows have it; refused labels are not stored."""
    many = {"card_arrival": 1, "lost_card": 1}
    storage.datasets.add(DatasetVersion(**{**vars(dataset("c" * 64, TASK)), "label_counts": many}))
    file = tmp_path / "annotated.json"
    file.write_text(json.dumps(_said(storage, "card_arival", "crypto", "lost_card", "card_arival")))
    with Terminal(["label", "import", str(file), "--address", front.address]) as terminal:
        terminal.expect("'card_arival' is not one of the 2 labels of 'mixed'; did you mean")
        terminal.expect("Annotations with it: 2. Accept it as a new label? [y/N]:")
        terminal.press("\r")
        terminal.expect("'crypto' is not one of the 2 labels of 'mixed'.")
        terminal.expect("Annotations with it: 1. Accept it as a new label? [y/N]:")
        terminal.press("y\r")
        terminal.expect("not stored: 2")
        assert terminal.end() == 1
    assert [item.label for item in items(storage)] == ["", "crypto", "lost_card", ""]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[", b"\xff[]", b"[" * 100_000, b"\xef\xbb\xbfnull"], ids=repr
)
def test_a_file_that_is_no_list_of_tasks_is_named(
    tidemill: Tidemill, tmp_path: Path, content: bytes
) -> None:
    """The server gets no call."""
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    assert str(file) in tidemill("import", str(file), ends_with=2)[1]


def test_a_place_that_takes_no_file_is_named(tidemill: Tidemill, tmp_path: Path) -> None:
    """An existing file is never overwritten."""
    kept = tmp_path / "kept.json"
    kept.write_text("mine")
    assert "name a new file" in tidemill("export", str(kept), ends_with=2)[1]
    assert "cannot be written" in tidemill("export", str(kept / "below.json"), ends_with=2)[1]
    assert kept.read_text() == "mine"
