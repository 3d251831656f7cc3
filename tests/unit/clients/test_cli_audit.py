"""`tidemill audit` on a workspace's own database."""

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.clients.test_cli_output import Terminal
from tidemill_cli.main import run
from tidemill_core.domain.access import AuditRecord, Authentication
from tidemill_core.storage.storage import open_storage

RECORD = AuditRecord(
    caller="deploy-bot@example.com",
    authentication=Authentication.API_KEY,
    method="/tidemill.v1.ModelService/PromoteModelVersion",
    task="customer_support",
    code="FAILED_PRECONDITION",
    reason="ILLEGAL_TRANSITION",
    request={"task": "customer_support", "model_version": 12, "comment": "better on \x1b[31m"},
    peer="ipv4:203.0.113.77:51234",
    create_time=datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def records(workspace: Path, private: None) -> None:  # noqa: ARG001 -- ends what it began
    """Create a workspace with one refused action in its audit trail."""
    (workspace / "var").mkdir()
    storage = open_storage(f"sqlite:///{workspace / 'var' / 'tidemill.db'}")
    storage.audit.append(RECORD)
    storage.database.close()


def test_the_trail_is_readable_in_100_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time, caller, action, task and result are on one line each; controls are escapes."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    assert run(["audit", "list"]) == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 100
    for value in (
        "2026-03-01 12:30:15",
        RECORD.caller,
        "PromoteModelVersion",
        RECORD.task,
        RECORD.reason,
        "model_version=12",
        r"\x1b[31m",
    ):
        assert any(value in line for line in lines), (value, lines)


def test_lists_are_shown_as_words_and_what_is_unset_is_not(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record of a new key has its scopes and no time of its revocation."""
    assert workspace.is_dir()
    assert run(["keys", "create", "--name", "shop", "--scope", "predict", "--scope", "label"]) == 0
    capsys.readouterr()
    assert run(["audit", "list"]) == 0
    action = capsys.readouterr().out.splitlines()[1]
    assert " scopes=label,predict " in action
    assert "None" not in action
    assert "[" not in action


def test_programs_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, a record has the peer, the authentication, and the request as an object."""
    assert run(["audit", "list", "--task", RECORD.task, "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["request"] == RECORD.request
    assert (record["peer"], record["authentication"]) == (RECORD.peer, RECORD.authentication)
    assert record["create_time"] == "2026-03-01T12:30:15+00:00"


def test_a_task_that_does_not_exist_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A task that has no records and is not in the settings is an error."""
    assert run(["audit", "list", "--task", "nope"]) == 2
    assert "there is no task 'nope'; there are: none" in capsys.readouterr().err
