"""Reports, alerts and silences."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from tidemill_core.clock import Clock
from tidemill_core.domain.alert import ALERT_KINDS, Alert, Silence
from tidemill_core.domain.report import Report
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.alerts import AlertStore
from tidemill_core.storage.database import Page
from tidemill_core.storage.reports import ReportStore
from tidemill_core.storage.silences import SilenceStore
from tidemill_server.handlers.fields import (
    MAX_COMMENT_LENGTH,
    MAX_KEY_LENGTH,
    check_visible,
    check_words,
)
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router
from tidemill_server.security.acting import acting_name

MAX_SILENCE = timedelta(days=90)


@dataclass(frozen=True)
class MonitoringHandler:
    """Shows reports and alerts, acknowledges alerts and silences them."""

    reports: ReportStore
    alerts: AlertStore
    silences: SilenceStore
    router: Router
    clock: Clock

    @in_thread
    def list_reports(self, task: str, kind: str, page: Page) -> tuple[list[Report], str]:
        """Return a page of reports, newest first, and the next page's token.

        Raises:
            InvalidArgument: there is no such kind or task.
        """
        _check_kind(kind)
        found = self.reports.page(task, kind, page)
        return of_task(self.router, task, found, partial(self.reports.page, task, ""))

    @in_thread
    def get_report(self, report_id: str) -> Report:
        """Return one report, or raise NotFound."""
        return self.reports.get(report_id)

    @in_thread
    def list_alerts(
        self, task: str, unacknowledged_only: bool, unresolved_only: bool, page: Page
    ) -> tuple[list[Alert], str]:
        """Return a page of alerts, newest first, and the next page's token."""
        found = self.alerts.page(task, unacknowledged_only, unresolved_only, page)
        return of_task(self.router, task, found, partial(self.alerts.page, task, False, False))

    @in_thread
    def acknowledge_alert(self, alert_id: str, actor: str) -> Alert:
        """Acknowledge an alert; only the first acknowledgment counts.

        Raises:
            InvalidArgument: `actor` is too long, or has control characters.
            NotFound: the alert does not exist.
        """
        check_words("actor", actor, MAX_KEY_LENGTH)
        return self.alerts.acknowledge(alert_id, acting_name(actor), self.clock())

    @in_thread
    def silence_alerts(
        self, task: str, kind: str, end_time: datetime | None, reason: str, actor: str
    ) -> Silence:
        """Hold new alerts back until a time.

        Raises:
            InvalidArgument: a field is too long or has control characters, the reason is blank,
                there is no such task or kind, or the time is missing, over or too far away.
        """
        check_visible("reason", reason, MAX_COMMENT_LENGTH)
        check_words("actor", actor, MAX_KEY_LENGTH)
        if task:
            self.router.task_settings(task)
        _check_kind(kind)
        now = self.clock()
        if end_time is None or not now < end_time <= now + MAX_SILENCE:
            rule = f"must be in the next {MAX_SILENCE.days} days"
            raise InvalidArgument("INVALID_END_TIME", "end_time", rule)
        silence = Silence(uuid.uuid4().hex, task, kind, acting_name(actor), reason, now, end_time)
        self.silences.add(silence)
        return silence

    @in_thread
    def list_silences(self, active_only: bool, page: Page) -> tuple[list[Silence], str]:
        """Return a page of silences, newest first, and the next page's token."""
        return self.silences.page(self.clock() if active_only else None, page)

    @in_thread
    def end_silence(self, silence_id: str) -> tuple[Silence, bool]:
        """End a silence now, and return whether it had not ended before; or raise NotFound."""
        return self.silences.end(silence_id, self.clock())


def _check_kind(kind: str) -> None:
    if kind and kind not in ALERT_KINDS:
        rule = f"is not one of {', '.join(ALERT_KINDS)}"
        raise InvalidArgument("UNKNOWN_KIND", "kind", rule)
