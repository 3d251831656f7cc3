"""`tidemill feedback held|release|drop` against the real front."""

import json
from typing import Any

import grpc
import pytest

from tests.contract.storage.values import verdict
from tests.integration.server.front import NOW, Front, Workspace
from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_cli.main import run
from tidemill_core.domain.feedback import FeedbackHold, HoldReason
from tidemill_core.storage.database import Page

BURST, LIMIT = HoldReason.BURST, HoldReason.LIMIT


@pytest.fixture
def ids(workspace: Workspace) -> list[str]:
    """Hold three verdicts, and return their ids."""
    reasons = {"ann": BURST, "ben": BURST, "cal": LIMIT}
    given = [verdict(f"p{source}", source=source) for source in reasons]
    workspace.storage.feedback.add(given)
    workspace.storage.feedback_holds.add(
        [
            FeedbackHold(each.feedback_id, "support", each.source, "b", reason, "shouts", NOW)
            for each, reason in zip(given, reasons.values(), strict=True)
        ]
    )
    return [each.feedback_id for each in given]


def _json(front: Front, capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    assert run(["feedback", *command, "--address", front.address, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_held_verdicts_are_seen_released_and_dropped(
    front: Front, workspace: Workspace, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A person sees what is held and why, and decides by id, source, reason, or about all."""
    assert run(["feedback", "held", "--address", front.address]) == 0
    shown = capsys.readouterr().out
    assert "ann" in shown
    assert "BURST" in shown
    assert "shouts" in shown
    assert _json(front, capsys, "release", "--task", "support", ids[0], "--comment", "fine") == {
        "resolved_count": 1
    }
    assert _json(front, capsys, "drop", "--task", "support", "--reason", "burst") == {
        "resolved_count": 1
    }
    left = _json(front, capsys, "held", "--task", "support")
    assert [each["source"] for each in left] == ["cal"]
    assert _json(front, capsys, "drop", "--task", "support", "--source", "cal") == {
        "resolved_count": 1
    }
    assert _json(front, capsys, "release", "--task", "support", "--all") == {"resolved_count": 0}
    states = {each["source"]: each["state"] for each in _json(front, capsys, "held", "--all")}
    assert states == {"ann": "RELEASED", "ben": "DROPPED", "cal": "DROPPED"}
    assert len(workspace.storage.feedback.latest_verdicts("support")) == 1
    done = workspace.storage.audit.page("support", "", Page())[0]
    methods = [each.method for each in done]
    assert methods.count("/tidemill.v1.FeedbackService/ResolveHeldFeedback") == 4


def test_nothing_is_decided_by_mistake(
    front: Front, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a choice nothing is released; an id that is not held is an error."""
    assert run(["feedback", "release", "--address", front.address]) != 0
    assert "--all" in capsys.readouterr().err
    assert (
        run(["feedback", "drop", "unknown", "--task", "support", "--address", front.address]) != 0
    )
    assert "unknown" in capsys.readouterr().err
    assert len(_json(front, capsys, "held")) == len(ids)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"state": pb.HOLD_STATE_HELD}, "state"),
        ({"state": pb.HOLD_STATE_UNSPECIFIED}, "state"),
        ({"state": 9}, "state"),
        ({"reason": 9}, "reason"),
        ({"task": "nothing"}, "task"),
        ({"feedback_ids": ["x"] * 1001}, "feedback_ids"),
        ({"feedback_ids": ["x\x00"]}, "feedback_ids"),
        ({"comment": "x" * 2001}, "comment"),
    ],
)
def test_a_bad_decision_is_refused(front: Front, changes: dict[str, Any], field: str) -> None:
    """The error names the field, and nothing is changed."""
    values = {"task": "support", "state": pb.HOLD_STATE_RELEASED} | changes
    with pytest.raises(grpc.RpcError) as refused:
        front.feedback.ResolveHeldFeedback(pb.ResolveHeldFeedbackRequest(**values), timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in refused.value.details()
