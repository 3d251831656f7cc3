"""The outbox of alerts: what is to be sent, to which sink and when.

A delivery is written in the transaction of its event. Whoever sends it claims it first: a claim
ends after CLAIM, so a delivery whose sender was killed is sent again, with the same id.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from tidemill_core.domain.alert import Alert, AlertEvent, Delivery
from tidemill_core.storage.alert_rows import alert_of_row, is_silenced
from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import alert_deliveries, alert_sinks, alerts

CLAIM = timedelta(minutes=2)
"""How long a sender has, longer than any sink waits for its receiver."""


class AlertOutbox:
    """The deliveries that wait, and the sinks whose receiver does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, sinks: Collection[str], now: datetime) -> list[Delivery]:
        """Return the deliveries to send now, oldest first.

        The events of an alert go to a sink one after the other. A trigger that is silenced waits,
        and so does all for a sink that is to be left alone.
        """
        row, earlier = alert_deliveries.c, alert_deliveries.alias("earlier")
        left_alone = select(alert_sinks.c.sink).where(alert_sinks.c.retry_time > now)
        blocked = select(earlier.c.sequence).where(
            earlier.c.alert_id == row.alert_id,
            earlier.c.sink == row.sink,
            earlier.c.sent_time.is_(None),
            earlier.c.sequence < row.sequence,
        )
        held = (row.event == AlertEvent.TRIGGER) & is_silenced(alerts, now)
        query = (
            select(alert_deliveries)
            .join(alerts, alerts.c.alert_id == row.alert_id)
            .where(row.sent_time.is_(None), row.due_time <= now, row.sink.in_(sinks))
            .where(row.sink.not_in(left_alone), ~blocked.exists(), ~held)
        )
        with self._database.read() as connection:
            found = connection.execute(query.order_by(row.sequence)).mappings().all()
            ids = {each["alert_id"] for each in found}
            of_ids = select(alerts).where(alerts.c.alert_id.in_(ids))
            rows = connection.execute(of_ids).mappings()
            known = {alert["alert_id"]: alert_of_row(alert) for alert in rows}
        return [_delivery(each, known[each["alert_id"]]) for each in found]

    def claim(self, delivery: Delivery, now: datetime) -> bool:
        """Reserve a delivery for one sender; return False if another one has it."""
        free = (
            alert_deliveries.c.attempts == delivery.attempts,
            alert_deliveries.c.sent_time.is_(None),
        )
        change = _change(delivery).where(*free)
        values = {"attempts": delivery.attempts + 1, "due_time": now + CLAIM}
        with self._database.write() as connection:
            return bool(connection.execute(change.values(**values)).rowcount)

    def mark_sent(self, delivery: Delivery, now: datetime) -> None:
        """Record that a delivery's receiver has it."""
        with self._database.write() as connection:
            connection.execute(_change(delivery).values(sent_time=now, error=""))
            connection.execute(delete(alert_sinks).where(alert_sinks.c.sink == delivery.sink))

    def mark_refused(self, delivery: Delivery, error: str, retry_time: datetime) -> None:
        """Record that the receiver refused a delivery; others for the sink go on."""
        with self._database.write() as connection:
            connection.execute(_change(delivery).values(due_time=retry_time, error=error))

    def mark_unanswered(self, delivery: Delivery, error: str, retry_time: datetime) -> None:
        """Record that a sink is to be left alone until a time."""
        sink = alert_sinks.c
        waits = {"retry_time": retry_time}
        with self._database.write(alone_on=alert_sinks) as connection:
            connection.execute(_change(delivery).values(due_time=retry_time, error=error))
            change = update(alert_sinks).where(sink.sink == delivery.sink)
            again = change.values(failures=sink.failures + 1, **waits)
            if not connection.execute(again).rowcount:
                new = {"sink": delivery.sink, "failures": 1, **waits}
                connection.execute(alert_sinks.insert(), new)

    def failures(self, sink: str) -> int:
        """Return how often in a row a sink's receiver did not answer."""
        query = select(alert_sinks.c.failures).where(alert_sinks.c.sink == sink)
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def prune(self, resolved_before: datetime) -> int:
        """Remove the deliveries of alerts that were resolved long ago.

        Returns:
            How many of them were never sent.
        """
        old = alert_deliveries.c.alert_id.in_(
            select(alerts.c.alert_id).where(alerts.c.resolve_time < resolved_before)
        )
        unsent = select(func.count()).where(old, alert_deliveries.c.sent_time.is_(None))
        with self._database.write() as connection:
            count = connection.scalar(unsent) or 0
            connection.execute(delete(alert_deliveries).where(old))
        return count


def _change(delivery: Delivery) -> Any:
    return update(alert_deliveries).where(alert_deliveries.c.sequence == delivery.sequence)


def _delivery(row: Mapping[Any, Any], alert: Alert) -> Delivery:
    return Delivery(
        sequence=row["sequence"],
        delivery_id=row["delivery_id"],
        sink=row["sink"],
        event=AlertEvent(row["event"]),
        alert=alert,
        create_time=row["create_time"],
        attempts=row["attempts"],
    )


def queue(
    connection: Connection,
    alert_id: str,
    event: AlertEvent,
    sinks: Sequence[str],
    now: datetime,
    due: datetime,
) -> None:
    """Queue the deliveries of an event, one for each sink, in the event's transaction."""
    rows = [
        {
            "delivery_id": uuid.uuid4().hex,
            "alert_id": alert_id,
            "sink": sink,
            "event": event,
            "create_time": now,
            "due_time": due,
            "attempts": 0,
            "error": "",
        }
        for sink in sinks
    ]
    if rows:
        connection.execute(alert_deliveries.insert(), rows)


def last_events(connection: Connection, alert_id: str) -> dict[str, AlertEvent]:
    """Return the last event of an alert that was queued for each sink."""
    row = alert_deliveries.c
    query = select(row.sink, row.event).where(row.alert_id == alert_id).order_by(row.sequence)
    return {sink: AlertEvent(event) for sink, event in connection.execute(query)}


def drop_held(connection: Connection, alert: Alert, now: datetime) -> None:
    """Drop the triggers of an alert that were never sent because it cools down or is silenced."""
    row = alert_deliveries.c
    this = alerts.c.alert_id == alert.alert_id
    silenced = connection.scalar(select(is_silenced(alerts, now)).select_from(alerts).where(this))
    unsent = (row.alert_id == alert.alert_id) & (row.attempts == 0)
    held = delete(alert_deliveries).where(unsent, row.event == AlertEvent.TRIGGER)
    connection.execute(held if silenced else held.where(row.due_time > now))
