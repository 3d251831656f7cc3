"""The proof of the sinks: `python -m tidemill_jobs.monitoring.alerts.proof`.

Sends a test alert to each configured sink and resolves it, and prints a line of JSON for each.
"""

import json
import sys
import uuid

from tidemill_core.clock import system_clock
from tidemill_core.domain.alert import Alert, AlertEvent
from tidemill_core.errors import TidemillError
from tidemill_core.loopback import keep_loopback_direct
from tidemill_core.settings import AlertSettings, load_settings
from tidemill_core.telemetry import configure_logging
from tidemill_jobs.monitoring.alerts.sink import NotDelivered, Notification
from tidemill_jobs.monitoring.alerts.sinks import open_sink

_RESOLVE_TRIES = 3


def prove(name: str, settings: AlertSettings) -> None:
    """Send a test alert to a sink, and resolve it.

    It is resolved even if the sink did not answer, because the receiver may have it.

    Raises:
        ConfigurationError: the sink's extra is not installed.
        NotDelivered: the receiver did not take the alert, or its end.
    """
    sink = open_sink(name, settings)
    now = system_clock()
    alert = Alert(
        alert_id=uuid.uuid4().hex,
        report_id="",
        task="tidemill",
        kind="test",
        message="This is a test by `tidemill doctor --alerts`. It resolves itself.",
        create_time=now,
        advice="Nothing.",
    )
    trigger, resolve = (
        Notification(uuid.uuid4().hex, event, alert, now, link="")
        for event in (AlertEvent.TRIGGER, AlertEvent.RESOLVE)
    )
    try:
        sink.send(trigger)
    finally:
        for left in reversed(range(_RESOLVE_TRIES)):
            try:
                sink.send(resolve)
                break
            except NotDelivered:
                if not left:
                    raise


def main() -> int:
    """Prove all sinks and return the exit code."""
    configure_logging("doctor")
    keep_loopback_direct()
    settings = load_settings().alerts
    for name in settings.configured:
        try:
            prove(name, settings)
        except (NotDelivered, TidemillError) as error:
            sys.stdout.write(json.dumps({"sink": name, "error": str(error)}) + "\n")
        else:
            sys.stdout.write(json.dumps({"sink": name, "error": ""}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
