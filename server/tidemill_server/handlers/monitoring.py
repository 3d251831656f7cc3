"""Reports and alerts."""

from dataclasses import dataclass

from tidemill_core.clock import Clock
from tidemill_core.domain.report import Alert, Report
from tidemill_core.storage.database import Page
from tidemill_core.storage.reports import ReportStore
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_words
from tidemill_server.handlers.threads import in_thread
from tidemill_server.security.acting import acting_name


@dataclass(frozen=True)
class MonitoringHandler:
    """Shows reports and alerts, and acknowledges alerts."""

    store: ReportStore
    clock: Clock

    @in_thread
    def list_reports(self, task: str, kind: str, page: Page) -> tuple[list[Report], str]:
        """Return a page of reports, newest first, and the next page's token."""
        return self.store.page(task, kind, page)

    @in_thread
    def get_report(self, report_id: str) -> Report:
        """Return one report, or raise NotFound."""
        return self.store.get(report_id)

    @in_thread
    def list_alerts(
        self, task: str, unacknowledged_only: bool, page: Page
    ) -> tuple[list[Alert], str]:
        """Return a page of alerts, newest first, and the next page's token."""
        return self.store.alerts_page(task, unacknowledged_only, page)

    @in_thread
    def acknowledge_alert(self, alert_id: str, actor: str) -> Alert:
        """Acknowledge an alert; only the first acknowledgment counts.

        Raises:
            InvalidArgument: `actor` is too long, or has control characters.
            NotFound: the alert does not exist.
        """
        check_words("actor", actor, MAX_KEY_LENGTH)
        return self.store.acknowledge(alert_id, acting_name(actor), self.clock())
