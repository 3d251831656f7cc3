"""The output for a file that was stored in part."""

import json

import pytest

from tidemill_cli.failure import CommandFailed
from tidemill_cli.rejections import FileOutcome, print_outcome

NEW = {"reason": "UNKNOWN_LABEL", "message": "'x' is new"}
OUTCOME = FileOutcome(
    7,
    9,
    [
        *({"row": row, "annotator": f"a{row % 2}", **NEW} for row in range(1, 9)),
        {"row": 9, "annotator": "", "reason": "UNREADABLE_TASK", "message": "no task"},
    ],
)


def test_the_same_error_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Each error is shown with its count, the first places, and what to do."""
    with pytest.raises(CommandFailed, match=r"^not stored: 9; do something$"):
        print_outcome(OUTCOME, False, "do something")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "accepted 7",
        "rejected 9",
        "times row annotator reason message",
        "8 1, 2, 3, 4, 5, … a1, a0 UNKNOWN_LABEL 'x' is new",
        "1 9 UNREADABLE_TASK no task",
    ]


def test_json_has_each(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, every rejection is printed."""
    with pytest.raises(CommandFailed, match=r"^not stored: 9$"):
        print_outcome(OUTCOME, True)
    assert len(json.loads(capsys.readouterr().out)["rejections"]) == 9
