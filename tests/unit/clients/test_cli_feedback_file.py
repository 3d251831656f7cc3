"""Verdicts of a JSON Lines file."""

from pathlib import Path

from tidemill_cli.feedback_file import FeedbackLines

FILE = b"""{"prediction_id": "a", "correct": true, "source": "ann"}

not json
["a list"]
{"prediction_id": "b", "lable": "refund"}
{"prediction_id": 7, "label": "refund"}
\xff
{"prediction_id": "c", "label": "r\xc3\xa9fund"}"""


def test_unreadable_lines_are_named_and_stop_no_others(tmp_path: Path) -> None:
    """Each line without a verdict is rejected by number; the others are sent in order."""
    path = tmp_path / "verdicts.jsonl"
    path.write_bytes(FILE)
    progress: list[float] = []
    with path.open("rb") as file:
        lines = FeedbackLines(file, lambda _name, done, _message: progress.append(done))
        requests = list(lines.requests())
    assert [(one.prediction_id, one.WhichOneof("verdict")) for one in requests] == [
        ("a", "correct"),
        ("c", "label"),
    ]
    assert requests[1].label == "réfund"
    assert list(lines.sent_lines) == [1, 8]
    assert [rejection["line"] for rejection in lines.unreadable] == [3, 4, 5, 6, 7]
    assert lines.unreadable[0]["message"] == "not a verdict: the line is not a JSON object in UTF-8"
    assert "unknown field lable; the fields are prediction_id" in lines.unreadable[2]["message"]
    assert progress[-1] == 1.0


def test_an_empty_file_has_no_requests(tmp_path: Path) -> None:
    """An empty file is not an error."""
    path = tmp_path / "empty.jsonl"
    path.touch()
    with path.open("rb") as file:
        lines = FeedbackLines(file, lambda _name, _done, _message: None)
        assert list(lines.requests()) == []
    assert lines.unreadable == []
