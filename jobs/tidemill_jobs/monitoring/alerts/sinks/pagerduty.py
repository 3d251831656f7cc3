"""The sink `pagerduty`: Events API v2, with the alert's id as `dedup_key`."""

import httpx2
from pagerduty import Error, EventsApiV2Client, UrlError

from tidemill_core.domain.alert import AlertEvent
from tidemill_core.settings.alerts import PagerDutySettings
from tidemill_jobs.monitoring.alerts.sink import TIMEOUT_SECONDS, NotDelivered, Notification
from tidemill_jobs.monitoring.unanswered import why_unanswered

_MAX_SUMMARY = 1024
_PATH = "/v2/enqueue"


class _Client(EventsApiV2Client):
    """The SDK's client, without its own retries: it would sleep, without an end after a 429."""

    url = ""  # a plain attribute: the SDK's requires https, which a receiver next door lacks
    max_network_attempts = 0
    timeout = TIMEOUT_SECONDS  # type: ignore[assignment]  # a property of httpx2, hidden by the SDK


class PagerDutySink:
    """Triggers, acknowledges and resolves an incident for each alert."""

    def __init__(self, settings: PagerDutySettings) -> None:
        self._client = _Client(
            settings.routing_key.get_secret_value(),
            base_url=settings.url.rstrip("/").removesuffix(_PATH),
            event_hooks={"response": [_require_success]},
        )

    def send(self, notification: Notification) -> None:
        """Send the event."""
        key = notification.alert.alert_id
        try:
            if notification.event is AlertEvent.TRIGGER:
                self._trigger(notification)
            elif notification.event is AlertEvent.ACKNOWLEDGE:
                self._client.acknowledge(key)
            else:
                self._client.resolve(key)
        except (Error, UrlError, httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise NotDelivered(f"no answer: {why_unanswered(error)}") from error

    def _trigger(self, notification: Notification) -> None:
        alert = notification.alert
        details = {
            "what_to_do": alert.advice,
            "report": notification.report,
            "model_version": alert.model_version,
            "delivery_id": notification.delivery_id,
        }
        summary = f"{alert.task}: {alert.kind}: {notification.message}"
        self._client.trigger(
            summary[:_MAX_SUMMARY],
            "tidemill",
            dedup_key=alert.alert_id,
            severity=alert.severity.lower(),
            payload={
                "timestamp": notification.time.isoformat(),
                "component": alert.task,
                "class": alert.kind,
            },
            custom_details=details,
            links=[{"href": notification.link, "text": "Report"}] if notification.link else None,
        )


def _require_success(response: httpx2.Response) -> None:
    if not response.is_success:
        after = response.headers.get("Retry-After", "")
        raise NotDelivered.by_status(response.status_code, after)
