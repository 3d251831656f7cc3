"""The sender, on a virtual clock, with receivers that are slow, away or killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from pydantic import SecretStr

from tests.contract.storage.values import report
from tests.integration.jobs.conftest import NOW
from tests.plugins.receivers import Answer, HttpReceiver, Request
from tidemill_core.domain.alert import Severity
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.settings import AlertSettings
from tidemill_core.settings.alerts import PagerDutySettings, SlackSettings, WebhookSettings
from tidemill_core.storage.alert_outbox import CLAIM
from tidemill_core.storage.storage import Storage
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.alerts.raising import raise_alert, resolve_alert
from tidemill_jobs.monitoring.alerts.sender import LONGEST_DELAY, Sender

STEP = timedelta(seconds=30)


class _Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> _Clock:
    """Return a clock that stands still until a test moves it."""
    return _Clock()


@pytest.fixture
def storage(newcomer: JobContext) -> Storage:
    """Return an empty database."""
    return newcomer.storage


def _slack(receiver: HttpReceiver) -> AlertSettings:
    return AlertSettings(slack=SlackSettings(webhook_url=SecretStr(receiver.url)))


def _raise(storage: Storage, settings: AlertSettings, clock: _Clock, kind: str = "drift") -> None:
    number = clock().isoformat() + kind
    written = replace(report(number, ReportVerdict.ALERT, kind), create_time=clock())
    raise_alert(storage.alerts, settings, written)


def _resolve(storage: Storage, clock: _Clock, kind: str = "drift") -> None:
    written = replace(report(f"{clock()}{kind} ok", kind=kind), create_time=clock())
    resolve_alert(storage.alerts, written)


def _until(sender: Sender, clock: _Clock, end: timedelta) -> None:
    while clock.now < NOW + end:
        sender.tick()
        clock.now += STEP


def test_a_slack_that_answers_429_for_an_hour_loses_nothing(
    storage: Storage, receiver: HttpReceiver, clock: _Clock
) -> None:
    """It is left alone as long as it asks, alerts of that time included; then it gets all once."""
    settings = _slack(receiver)
    receiver.answer = lambda _: (429, {"Retry-After": "3600"}, b"slow down")
    sender = Sender(storage.alert_outbox, settings, clock)
    _raise(storage, settings, clock)
    sender.tick()
    assert len(receiver.requests) == 1
    for kind in ("accuracy", "latency"):
        clock.now += timedelta(minutes=10)
        _raise(storage, settings, clock, kind)
    # A process that starts again leaves it alone too.
    _until(Sender(storage.alert_outbox, settings, clock), clock, timedelta(minutes=59))
    assert len(receiver.requests) == 1
    receiver.requests.clear()
    receiver.answer = lambda _: (200, {}, b"ok")
    _until(sender, clock, timedelta(hours=2))
    titles = [request.json["blocks"][0]["text"]["text"] for request in receiver.requests]
    assert [title.rpartition(" ")[2] for title in titles] == ["drift", "accuracy", "latency"]


def test_a_pagerduty_that_is_down_for_a_day_loses_nothing(
    storage: Storage, receiver: HttpReceiver, clock: _Clock
) -> None:
    """Triggers and resolutions of the day arrive in order, once each; tries get rarer."""
    section = PagerDutySettings(routing_key=SecretStr("key"), url=receiver.url)
    settings = AlertSettings(pagerduty=section)
    receiver.answer = lambda _: (503, {}, b"down")
    sender = Sender(storage.alert_outbox, settings, clock)
    for hour in range(24):
        _raise(storage, settings, clock, "accuracy")
        _until(sender, clock, timedelta(hours=hour, minutes=20))
        _resolve(storage, clock, "accuracy")
        _until(sender, clock, timedelta(hours=hour + 1, minutes=30))
    most = timedelta(hours=26) / LONGEST_DELAY
    assert 200 < len(receiver.requests) < most
    receiver.requests.clear()

    def accept(request: Request) -> Answer:
        answer = json.dumps({"dedup_key": request.json["dedup_key"]}).encode()
        return 202, {"Content-Type": "application/json"}, answer

    receiver.answer = accept
    _until(sender, clock, timedelta(hours=26))
    actions = [
        (request.json["event_action"], request.json["dedup_key"]) for request in receiver.requests
    ]
    keys = list(dict.fromkeys(key for _, key in actions))
    assert len(keys) > 1
    for key in keys:
        of_key = [action for action, its in actions if its == key]
        assert of_key == ["trigger", "resolve"] * (len(of_key) // 2)


def test_a_refused_alert_does_not_hold_up_others(
    storage: Storage, receiver: HttpReceiver, clock: _Clock
) -> None:
    """It is tried again later, and the others arrive."""
    settings = _slack(receiver)
    refuse: Callable[[Request], Answer] = lambda request: (  # noqa: E731 -- an answer
        (400, {}, b"invalid_blocks") if b"drift" in request.body else (200, {}, b"ok")
    )
    receiver.answer = refuse
    for kind in ("drift", "latency"):
        _raise(storage, settings, clock, kind)
    sender = Sender(storage.alert_outbox, settings, clock)
    _until(sender, clock, timedelta(minutes=30))
    assert len(receiver.requests) == 2
    receiver.answer = lambda _: (200, {}, b"ok")
    _until(sender, clock, timedelta(hours=2))
    assert len(receiver.requests) == 3
    assert b"drift" in receiver.requests[2].body


SEND = """
import sys
from datetime import datetime
from pydantic import SecretStr
from tidemill_core.settings import AlertSettings
from tidemill_core.settings.alerts import WebhookSettings
from tidemill_core.storage.storage import open_storage
from tidemill_jobs.monitoring.alerts.sender import Sender
url, database, now = sys.argv[1:]
webhook = WebhookSettings(url=SecretStr(url), secret=SecretStr("key"))
storage = open_storage(database)
Sender(
    storage.alert_outbox, AlertSettings(webhook=webhook), lambda: datetime.fromisoformat(now)
).tick()
"""


def test_killed_between_the_send_and_the_mark(
    newcomer: JobContext, receiver: HttpReceiver, clock: _Clock
) -> None:
    """An alert whose sender gets kill -9 then is sent again, with the same delivery id."""
    storage = newcomer.storage
    webhook = WebhookSettings(url=SecretStr(receiver.url), secret=SecretStr("key"))
    settings = AlertSettings(webhook=webhook)
    _raise(storage, settings, clock)
    processes: list[subprocess.Popen[bytes]] = []

    def kill(_: Request) -> Answer:
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        return 200, {}, b"ok"

    receiver.answer = kill
    database = newcomer.settings.effective_database_url
    command = [sys.executable, "-c", SEND, receiver.url, database, NOW.isoformat()]
    processes.append(subprocess.Popen(command))
    assert processes[0].wait(60) == -signal.SIGKILL
    assert len(receiver.requests) == 1
    receiver.answer = lambda _: (200, {}, b"ok")
    sender = Sender(storage.alert_outbox, settings, clock)
    sender.tick()
    assert len(receiver.requests) == 1
    clock.now += CLAIM
    for _ in range(3):
        sender.tick()
    first, second = receiver.requests
    assert first.headers["tidemill-delivery"] == second.headers["tidemill-delivery"]
    assert first.json["alert"]["alert_id"] == second.json["alert"]["alert_id"]


def test_routes(storage: Storage, receiver: HttpReceiver, clock: _Clock) -> None:
    """An alert goes to the sinks of the first route that takes its task and severity."""
    settings = AlertSettings.model_validate(
        {
            "slack": {"webhook_url": receiver.url},
            "routes": [
                {"tasks": ["support"], "min_severity": "CRITICAL", "sinks": ["slack"]},
                {"tasks": ["support"], "sinks": []},
            ],
        }
    )
    for kind in ("drift", "accuracy"):
        _raise(storage, settings, clock, kind)
    Sender(storage.alert_outbox, settings, clock).tick()
    [request] = receiver.requests
    assert b"accuracy" in request.body
    assert settings.sinks_for("other", "drift", Severity.WARNING) == ["log", "slack"]
