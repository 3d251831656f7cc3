"""The seam between alerts and what they are sent with."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol

from tidemill_core.domain.alert import Alert, AlertEvent

TIMEOUT_SECONDS = 10
"""How long a sink waits for its receiver."""
MAX_RETRY_AFTER = timedelta(days=1)
_TOO_MANY_REQUESTS = 429
_REQUEST_TIMEOUT = 408
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Notification:
    """What a sink sends: an event of an alert.

    Attributes:
        delivery_id: the same each time the notification is sent.
        event: what happened.
        alert: the alert.
        time: when it happened.
        link: the address of the report's page; empty if there is none.
    """

    delivery_id: str
    event: AlertEvent
    alert: Alert
    time: datetime
    link: str

    @property
    def title(self) -> str:
        """What happened, on one line."""
        alert = self.alert
        what = f"{alert.task}: {alert.kind}"
        if self.event is AlertEvent.ACKNOWLEDGE:
            return f"Acknowledged by {_one_line(alert.acknowledged_by)}: {what}"
        state = "Resolved" if self.event is AlertEvent.RESOLVE else alert.severity.capitalize()
        return f"{state}: {what}"

    @property
    def message(self) -> str:
        """The finding of the newest report, on one line."""
        return _one_line(self.alert.message)

    @property
    def report(self) -> str:
        """Where the report is: its page, or the command that shows it; empty without a report."""
        if self.link or not self.alert.report_id:
            return self.link
        return f"tidemill reports show {self.alert.report_id}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


class NotDelivered(Exception):
    """A notification that did not reach its receiver, or whose answer was lost.

    Attributes:
        is_refused: whether the receiver refuses this notification; otherwise it takes none now.
        retry_after: how long the receiver asks to be left alone.
    """

    def __init__(
        self, message: str, is_refused: bool = False, retry_after: timedelta = timedelta()
    ) -> None:
        super().__init__(message)
        self.is_refused, self.retry_after = is_refused, retry_after

    @staticmethod
    def by_status(status: int, retry_after: str = "") -> "NotDelivered":
        """Return the error for an HTTP status that is not a success.

        Args:
            status: the status.
            retry_after: the header Retry-After: seconds, or a date.
        """
        busy = status >= _SERVER_ERROR or status in (_TOO_MANY_REQUESTS, _REQUEST_TIMEOUT)
        return NotDelivered(f"the receiver answered {status}", not busy, _delay(retry_after))


def _delay(retry_after: str) -> timedelta:
    value = retry_after.strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:9]), MAX_RETRY_AFTER.total_seconds()))
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return timedelta()
    delay = until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)
    return min(max(delay, timedelta()), MAX_RETRY_AFTER)


class Sink(Protocol):
    """Something that notifications are sent with."""

    def send(self, notification: Notification) -> None:
        """Send a notification, and return once its receiver has it.

        It waits for at most some TIMEOUT_SECONDS and does not retry. A notification that is sent
        again has the same delivery id; the events of one alert have the same alert id.

        Raises:
            NotDelivered: the receiver refused it, or did not answer. Secrets are not in it.
        """
