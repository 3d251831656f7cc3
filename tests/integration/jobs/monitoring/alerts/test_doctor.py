"""`tidemill doctor --alerts`, with real receivers."""

import json
from pathlib import Path

import pytest

from tests.plugins.receivers import Answer, HttpReceiver, MailReceiver, Request
from tidemill_cli.main import run


def _checks(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    capsys.readouterr()
    run(["doctor", "--alerts", "--json"])
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_each_sink_is_tried_and_its_test_alert_resolved(
    tmp_path: Path,
    receiver: HttpReceiver,
    mailbox: MailReceiver,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each sink gets a test alert and its end; one that refuses fails, without its secret."""
    monkeypatch.chdir(tmp_path)
    assert run(["init"]) == 0
    with Path("tidemill.toml").open("a", encoding="utf-8") as file:
        file.write(
            f'\n[alerts.pagerduty]\nrouting_key = "hush"\nurl = "{receiver.url}"\n'
            f'[alerts.webhook]\nurl = "{receiver.url}/hook"\n'
            f'[alerts.smtp]\nhost = "127.0.0.1"\nport = {mailbox.port}\ntls = "none"\n'
            'sender = "mill@example.com"\nrecipients = ["ana@example.com"]\n'
        )
    monkeypatch.setenv("TIDEMILL_ALERTS__SLACK__WEBHOOK_URL", f"{receiver.url}/services/hush")
    monkeypatch.setenv("TIDEMILL_ALERTS__WEBHOOK__SECRET", "hush")

    def answer(request: Request) -> Answer:
        if request.path == "/v2/enqueue":
            return 202, {}, json.dumps({"dedup_key": request.json["dedup_key"]}).encode()
        return 200, {}, b"ok"

    receiver.answer = answer
    checks = _checks(capsys)
    tried = {name: check["result"] for name, check in checks.items() if name.startswith("alerts")}
    assert tried == dict.fromkeys(
        ("alerts: log", "alerts: slack", "alerts: pagerduty", "alerts: webhook", "alerts: smtp"),
        "ok",
    )
    by_path: dict[str, list[str]] = {}
    for request in receiver.requests:
        body = request.json
        event = body.get("event_action") or body.get("event") or body["text"].partition(":")[0]
        by_path.setdefault(request.path, []).append(event)
    assert by_path == {
        "/v2/enqueue": ["trigger", "resolve"],
        "/hook": ["TRIGGER", "RESOLVE"],
        "/services/hush": ["Warning", "Resolved"],
    }
    assert [mail["Subject"].split()[1] for mail in mailbox.mails] == ["Warning:", "Resolved:"]

    receiver.answer = lambda _: (403, {}, b"invalid_token")
    checks = _checks(capsys)
    assert checks["alerts: slack"]["result"] == "fail"
    assert "403" in checks["alerts: slack"]["found"]
    assert "hush" not in json.dumps(checks)


def test_wrong_settings_are_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A wrong setting fails its own check; no sink is tried, and no traceback is printed."""
    monkeypatch.chdir(tmp_path)
    Path("tidemill.toml").write_text('[[alerts.routes]]\nsinks = ["fax"]\n', encoding="utf-8")
    assert run(["doctor", "--alerts", "--json"]) == 1
    printed = capfd.readouterr()
    failed = [check["name"] for check in json.loads(printed.out) if check["result"] == "fail"]
    assert failed == ["settings"]
    assert printed.err == "error: failed: settings\n"
