"""The sender: takes what the outbox holds to the sinks, and tries again what did not arrive."""

from datetime import timedelta

import structlog

from tidemill_core.clock import Clock
from tidemill_core.domain.alert import Delivery
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import AlertSettings
from tidemill_core.storage.alert_outbox import AlertOutbox
from tidemill_jobs.monitoring.alerts.sink import NotDelivered, Notification, Sink
from tidemill_jobs.monitoring.alerts.sinks import open_sink

_FIRST_DELAY = timedelta(seconds=5)
_MOST_DOUBLINGS = 10
LONGEST_DELAY = timedelta(minutes=5)
"""Longest time between two tries of a sink that does not answer, unless it asks for more."""
REFUSED_DELAY = timedelta(hours=1)
"""Time between two tries of a notification that its receiver refused."""
KEEP = timedelta(days=30)
PRUNE_EVERY = timedelta(hours=6)

log = structlog.get_logger()


class Sender:
    """Sends the deliveries of the outbox, at least once each.

    A delivery is sent a second time only if its answer was lost: the receiver did not answer in
    time, or this process was killed before it could record the answer.
    """

    def __init__(self, outbox: AlertOutbox, settings: AlertSettings, clock: Clock) -> None:
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._sinks: dict[str, Sink] = {}
        self._prune_at = clock()

    def tick(self) -> None:
        """Send what is due.

        Raises:
            StorageUnavailable: the database is away; call it again later.
        """
        now = self._clock()
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY
            if lost := self._outbox.prune(now - KEEP):
                log.error("alerts_never_sent", deliveries=lost)
        silent: set[str] = set()
        for delivery in self._outbox.due(self._settings.configured, now):
            if delivery.sink in silent or not self._outbox.claim(delivery, self._clock()):
                continue
            if not self._deliver(delivery):
                silent.add(delivery.sink)

    def _deliver(self, delivery: Delivery) -> bool:
        """Send a claimed delivery; return False if its sink is to be left alone."""
        try:
            self._sink(delivery.sink).send(self._notification(delivery))
        except (NotDelivered, ConfigurationError) as error:
            if isinstance(error, NotDelivered) and error.is_refused:
                retry_time = self._clock() + max(REFUSED_DELAY, error.retry_after)
                self._outbox.mark_refused(delivery, str(error), retry_time)
            else:
                asked = error.retry_after if isinstance(error, NotDelivered) else timedelta()
                retry_time = self._clock() + max(self._delay(delivery.sink), asked)
                self._outbox.mark_unanswered(delivery, str(error), retry_time)
            log.warning(
                "alert_not_delivered",
                sink=delivery.sink,
                alert_id=delivery.alert.alert_id,
                attempt=delivery.attempts + 1,
                retry_time=retry_time.isoformat(),
                detail=str(error),
            )
            return isinstance(error, NotDelivered) and error.is_refused
        self._outbox.mark_sent(delivery, self._clock())
        return True

    def _delay(self, sink: str) -> timedelta:
        """Return how long a sink is left alone, twice as long after each failure."""
        failures = min(self._outbox.failures(sink), _MOST_DOUBLINGS)
        return min(_FIRST_DELAY * (1 << failures), LONGEST_DELAY)

    def _sink(self, name: str) -> Sink:
        if name not in self._sinks:
            self._sinks[name] = open_sink(name, self._settings)
        return self._sinks[name]

    def _notification(self, delivery: Delivery) -> Notification:
        alert = delivery.alert
        link = self._settings.report_url.replace("{report_id}", alert.report_id)
        return Notification(delivery.delivery_id, delivery.event, alert, delivery.create_time, link)
