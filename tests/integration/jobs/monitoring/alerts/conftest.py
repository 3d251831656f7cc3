"""Receivers of alerts, and what is sent to them."""

from collections.abc import Iterator

import pytest

from tests.integration.jobs.conftest import NOW
from tests.plugins.receivers import HttpReceiver, MailReceiver, http_receiver, mail_receiver
from tidemill_core.domain.alert import Alert, AlertEvent, Severity
from tidemill_jobs.monitoring.alerts.sink import Notification

ALERT = Alert(
    alert_id="a" * 32,
    report_id="b" * 32,
    task="support",
    kind="accuracy",
    message="accuracy 0.700 <@U1> & *below*\nlimit 0.870",
    create_time=NOW,
    acknowledged_by="ana",
    severity=Severity.CRITICAL,
    model_version=3,
    advice="Retrain.",
)


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    """An HTTP server that keeps the requests it gets."""
    with http_receiver() as running:
        yield running


@pytest.fixture
def mailbox() -> Iterator[MailReceiver]:
    """A mail server that keeps the mails it gets."""
    with mail_receiver() as running:
        yield running


def notification(event: AlertEvent = AlertEvent.TRIGGER, link: str = "") -> Notification:
    """Return a notification of an alert."""
    return Notification("c" * 32, event, ALERT, NOW, link)
