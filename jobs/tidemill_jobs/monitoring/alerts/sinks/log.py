"""The sink `log`: a line in the log of the jobs."""

import structlog

from tidemill_jobs.monitoring.alerts.sink import Notification

_log = structlog.get_logger()


class LogSink:
    """Writes a line for each notification."""

    def send(self, notification: Notification) -> None:
        """Write the line."""
        alert = notification.alert
        _log.warning(
            "alert",
            alert_event=str(notification.event),
            alert_id=alert.alert_id,
            task=alert.task,
            kind=alert.kind,
            severity=str(alert.severity),
            model_version=alert.model_version,
            report_id=alert.report_id,
            summary=notification.message,
        )
