"""The sinks, against receivers that check the form of what they get."""

import hashlib
import hmac
import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import SecretStr

from tests.integration.jobs.conftest import NOW
from tests.integration.jobs.monitoring.alerts.conftest import notification
from tests.plugins.receivers import HttpReceiver, Request
from tidemill_core.domain.alert import Alert, AlertEvent
from tidemill_core.settings import AlertSettings
from tidemill_core.settings.alerts import (
    PagerDutySettings,
    SlackSettings,
    SmtpSettings,
    WebhookSettings,
)
from tidemill_jobs.monitoring.alerts.sink import NotDelivered, Notification
from tidemill_jobs.monitoring.alerts.sinks import SINKS, open_sink

KEY = "k" * 32
Accept = Callable[[Request], tuple[int, dict[str, str], bytes]]


def _settings(receiver: HttpReceiver) -> AlertSettings:
    return AlertSettings(
        slack=SlackSettings(webhook_url=SecretStr(f"{receiver.url}/services/T0/B0/hush")),
        pagerduty=PagerDutySettings(routing_key=SecretStr(KEY), url=receiver.url),
        webhook=WebhookSettings(url=SecretStr(f"{receiver.url}/hook"), secret=SecretStr("hush")),
    )


def _pagerduty_accepts(request: Request) -> tuple[int, dict[str, str], bytes]:
    """Answer as PagerDuty does."""
    answer = {"status": "success", "dedup_key": request.json["dedup_key"]}
    return 202, {"Content-Type": "application/json"}, json.dumps(answer).encode()


def test_a_webhook_is_signed(receiver: HttpReceiver) -> None:
    """The signature is HMAC-SHA256 of the time and the body; a repetition has the same id."""
    sink = open_sink("webhook", _settings(receiver))
    for event in AlertEvent:
        sink.send(notification(event))
    assert [each.json["event"] for each in receiver.requests] == list(AlertEvent)
    request = receiver.requests[0]
    given = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", request.headers["tidemill-signature"])
    assert given is not None
    signed = given[1].encode() + b"." + request.body
    assert hmac.new(b"hush", signed, hashlib.sha256).hexdigest() == given[2]
    assert request.headers["tidemill-delivery"] == request.json["delivery_id"] == "c" * 32
    assert request.path == "/hook"
    alert = request.json["alert"]
    assert (alert["task"], alert["severity"], alert["advice"]) == (
        "support",
        "CRITICAL",
        "Retrain.",
    )
    assert alert["create_time"] == NOW.isoformat()
    assert alert["resolve_time"] is None


def test_slack_gets_blocks_within_its_limits(receiver: HttpReceiver) -> None:
    """Blocks have the forms of Block Kit, and nothing in a finding mentions or links anything."""
    sink = open_sink("slack", _settings(receiver))
    sink.send(notification(link="https://mill.example/reports/b"))
    sink.send(notification(AlertEvent.RESOLVE))
    triggered, resolved = (request.json for request in receiver.requests)
    assert receiver.requests[0].path == "/services/T0/B0/hush"
    header, finding, advice, context = triggered["blocks"]
    assert header == {
        "type": "header",
        "text": {"type": "plain_text", "text": "Critical: support: accuracy", "emoji": False},
    }
    assert finding["type"] == "section"
    assert finding["text"]["text"] == "accuracy 0.700 &lt;@U1&gt; &amp; *below* limit 0.870"
    assert advice["text"]["text"] == "*What to do:* Retrain."
    assert context["type"] == "context"
    shown = [element["text"] for element in context["elements"]]
    assert "<https://mill.example/reports/b|Report>" in shown
    assert triggered["text"].startswith("Critical: support: accuracy. ")
    assert resolved["blocks"][0]["text"]["text"] == "Resolved: support: accuracy"
    assert f"Report: `tidemill reports show {'b' * 32}`" in str(resolved["blocks"])


def test_slack_gets_a_long_finding_cut(receiver: HttpReceiver) -> None:
    """A finding longer than Slack allows is cut, also where escapes make it longer."""
    alert = Alert("a", "b", "support", "drift", "<& " * 3000, NOW)
    open_sink("slack", _settings(receiver)).send(
        Notification("c", AlertEvent.TRIGGER, alert, NOW, "")
    )
    [request] = receiver.requests
    for block in request.json["blocks"]:
        if block["type"] == "section":
            assert len(block["text"]["text"]) <= 3000
            assert not re.search(r"&(?!(amp|lt|gt);)", block["text"]["text"])


@pytest.mark.parametrize("path", ["", "/", "/v2/enqueue"])
def test_pagerduty_gets_events(receiver: HttpReceiver, path: str) -> None:
    """Trigger, acknowledge and resolve have one dedup_key, and the payload of Events API v2."""
    receiver.answer = _pagerduty_accepts
    section = PagerDutySettings(routing_key=SecretStr(KEY), url=receiver.url + path)
    sink = open_sink("pagerduty", AlertSettings(pagerduty=section))
    for event in AlertEvent:
        sink.send(notification(event, "https://mill.example/reports/b"))
    assert {request.path for request in receiver.requests} == {"/v2/enqueue"}
    events = [request.json for request in receiver.requests]
    assert [each["event_action"] for each in events] == ["trigger", "acknowledge", "resolve"]
    assert {each["dedup_key"] for each in events} == {"a" * 32}
    assert {each["routing_key"] for each in events} == {KEY}
    payload = events[0]["payload"]
    assert payload["summary"] == "support: accuracy: accuracy 0.700 <@U1> & *below* limit 0.870"
    assert (payload["severity"], payload["source"]) == ("critical", "tidemill")
    assert (payload["component"], payload["class"]) == ("support", "accuracy")
    assert payload["timestamp"] == NOW.isoformat()
    assert payload["custom_details"]["what_to_do"] == "Retrain."
    assert events[0]["links"] == [{"href": "https://mill.example/reports/b", "text": "Report"}]


@pytest.mark.parametrize("name", ["slack", "pagerduty", "webhook"])
@pytest.mark.parametrize(
    ("status", "after", "is_refused", "delay"),
    [
        (429, "3600", False, timedelta(hours=1)),
        (503, "", False, timedelta()),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", False, timedelta()),
        (500, "soon", False, timedelta()),
        (429, "9" * 30, False, timedelta(days=1)),
        (404, "", True, timedelta()),
        (400, "", True, timedelta()),
        (301, "", True, timedelta()),
    ],
)
def test_an_answer_that_is_no_success(
    receiver: HttpReceiver, name: str, status: int, after: str, is_refused: bool, delay: timedelta
) -> None:
    """A sink sends once, and says how long to wait and whether this notification is refused."""
    headers = {"Retry-After": after} if after else {}
    receiver.answer = lambda _: (status, headers, b"no")
    with pytest.raises(NotDelivered) as raised:
        open_sink(name, _settings(receiver)).send(notification())
    assert (raised.value.is_refused, raised.value.retry_after) == (is_refused, delay)
    assert str(status) in str(raised.value)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("name", SINKS)
def test_a_receiver_that_is_down(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody listens: the sink says so in the system's words, without its settings' secrets."""
    nobody = HttpReceiver("http://127.0.0.1:1")
    smtp = SmtpSettings(
        host="127.0.0.1",
        port=1,
        username="mill",
        password=SecretStr("hush"),
        sender="a@example.com",
        recipients=["b@example.com"],
    )
    settings = _settings(nobody).model_copy(update={"smtp": smtp})
    with pytest.raises(NotDelivered, match=r"^no answer: Connection refused$") as raised:
        open_sink(name, settings).send(notification())
    assert not raised.value.is_refused
    printed = capfd.readouterr()
    for secret in ("hush", KEY):
        assert secret not in str(raised.value) + printed.out + printed.err + repr(settings)


@pytest.mark.parametrize(("name", "package"), [("slack", "slack_sdk"), ("pagerduty", "pagerduty")])
def test_a_missing_extra_is_named(name: str, package: str, receiver: HttpReceiver) -> None:
    """Without its SDK a sink says how to install the extra."""
    del receiver
    code = f"""
import sys
sys.modules[{package!r}] = None
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import AlertSettings
from tidemill_jobs.monitoring.alerts.sinks import open_sink
try:
    open_sink({name!r}, AlertSettings())
except ConfigurationError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"alerts.{name} needs the package {package}" in ended.stdout
    assert f"'.[{name}]'" in ended.stdout
