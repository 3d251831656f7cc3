"""`tidemill reports show` against the real front."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.server.front import NOW, Front, Workspace
from tests.plugins.waiting import wait_until
from tidemill_cli.main import run
from tidemill_core.domain.alert import Severity
from tidemill_core.domain.job import RETRAIN, Trigger
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.storage.jobs import RunRequest

TEXT = "where is my <b>card</b>?"


def add_report(
    workspace: Workspace, day: int, kind: str, verdict: ReportVerdict, details: Mapping[str, Any]
) -> Report:
    """Store a report of a day."""
    written = Report(
        report_id=f"{kind}{day}",
        task="support",
        kind=kind,
        model_version=1,
        verdict=verdict,
        summary=f"{kind} on day {day}",
        details=details,
        run_id="run",
        create_time=NOW + timedelta(days=day),
    )
    workspace.storage.reports.add(written)
    return written


def test_a_task_shows_what_changed_since_when_and_what_is_done(
    front: Front, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The terminal, the page and the JSON say it; reports without the known names do too."""
    ok, bad = ReportVerdict.OK, ReportVerdict.ALERT
    storage = workspace.storage
    for day, accuracy, verdict in ((1, 0.91, ok), (2, 0.84, bad), (3, 0.83, bad)):
        written = add_report(workspace, day, "accuracy", verdict, {"accuracy": accuracy})
    storage.alerts.raise_alert(
        Report(**{**vars(written), "report_id": "raised"}),
        Severity.CRITICAL,
        "label more",
        [],
        timedelta(),
    )
    add_report(workspace, 3, "drift", ok, {"signals": []})
    add_report(workspace, 3, "latency", ok, {})
    retraining = storage.jobs.enqueue(RunRequest(RETRAIN, "support", Trigger.CHECK_FEEDBACK), NOW)
    asked = ["reports", "show", "--task", "support", "--address", front.address]
    assert run(asked) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "accuracy ALERT 2026" in shown
    assert "accuracy: OK → ALERT: accuracy on day 2" in shown
    assert "label more" in shown
    assert "retrain QUEUED check_feedback" in shown
    assert run([*asked, "--json", "--html", str(tmp_path / "today.html")]) == 0
    document = json.loads(capsys.readouterr().out)
    newest = {each["kind"]: each for each in document["reports"]}
    assert list(newest) == ["accuracy", "drift", "latency"]
    since = (NOW + timedelta(days=2)).strftime("%Y-%m-%d")
    assert newest["accuracy"]["verdict_since"].startswith(since)
    assert document["under_way"][0]["run_id"] == retraining.run_id
    page = (tmp_path / "today.html").read_text()
    assert "<polyline" in page
    assert "How good it is today" in page
    assert "src=" not in page
    storage.jobs.cancel(retraining.run_id, NOW)


def test_a_report_shows_texts_in_the_terminal_but_not_in_a_page(
    front: Front, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text that is not stored is left out, and a page, which erasure cannot reach, has none."""
    at = ["--address", front.address]
    assert run(["predict", "support", TEXT, "--json", *at]) == 0
    predicted = json.loads(capsys.readouterr().out)["prediction_id"]
    stored = workspace.storage.predictions
    wait_until(lambda: stored.get(predicted) is not None, "the prediction is stored")
    signal = {"signal": "label", "distance": 0.4, "example_prediction_ids": [predicted, "gone"]}
    add_report(workspace, 9, "drift", ReportVerdict.ALERT, {"signals": [signal]})
    assert run(["reports", "show", "drift9", *at]) == 0
    assert TEXT in capsys.readouterr().out
    page = tmp_path / "report.html"
    assert run(["reports", "show", "drift9", "--html", str(page), *at]) == 0
    assert "Drift by signal" in page.read_text()
    assert "card" not in page.read_text()
