"""The sink `webhook`: signed JSON for any receiver."""

import hashlib
import hmac
import json
import time
from dataclasses import asdict

import httpx

from tidemill_core.settings.alerts import WebhookSettings
from tidemill_jobs.monitoring.alerts.sink import TIMEOUT_SECONDS, NotDelivered, Notification
from tidemill_jobs.monitoring.unanswered import why_unanswered

SIGNATURE_HEADER = "Tidemill-Signature"
DELIVERY_HEADER = "Tidemill-Delivery"


class WebhookSink:
    """Posts each notification as JSON, signed by HMAC-SHA256 (RFC 2104)."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._url = settings.url.get_secret_value()
        self._key = settings.secret.get_secret_value().encode()

    def send(self, notification: Notification) -> None:
        """Post the notification; any 2xx status accepts it."""
        body = _body(notification)
        seconds = int(time.time())
        headers = {
            "Content-Type": "application/json",
            DELIVERY_HEADER: notification.delivery_id,
            SIGNATURE_HEADER: f"t={seconds},v1={signature(self._key, seconds, body)}",
        }
        try:
            answer = httpx.post(self._url, content=body, headers=headers, timeout=TIMEOUT_SECONDS)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotDelivered(f"no answer: {why_unanswered(error)}") from error
        if not answer.is_success:
            after = answer.headers.get("Retry-After", "")
            raise NotDelivered.by_status(answer.status_code, after)


def signature(key: bytes, seconds: int, body: bytes) -> str:
    """Return the HMAC-SHA256 of `seconds.body` in hexadecimal; `seconds` is the time since 1970."""
    return hmac.new(key, str(seconds).encode() + b"." + body, hashlib.sha256).hexdigest()


def _body(notification: Notification) -> bytes:
    alert = asdict(notification.alert)
    content = {
        "delivery_id": notification.delivery_id,
        "event": notification.event,
        "time": notification.time.isoformat(),
        "title": notification.title,
        "report": notification.report,
        "alert": {
            name: value.isoformat() if hasattr(value, "isoformat") else value
            for name, value in alert.items()
        },
    }
    return json.dumps(content).encode()
