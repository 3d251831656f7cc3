"""MonitoringService."""

from tidemill.v1 import monitoring_service_pb2 as pb
from tidemill_server import convert
from tidemill_server.handlers.monitoring import MonitoringHandler


class MonitoringServicer:
    """Shows reports and alerts, and acknowledges alerts."""

    def __init__(self, handler: MonitoringHandler) -> None:
        self._handler = handler

    async def ListReports(
        self, request: pb.ListReportsRequest, _: object
    ) -> pb.ListReportsResponse:
        """List reports, newest first."""
        found, token = await self._handler.list_reports(
            request.task, request.kind, convert.page(request)
        )
        return pb.ListReportsResponse(reports=map(convert.report, found), next_page_token=token)

    async def GetReport(self, request: pb.GetReportRequest, _: object) -> pb.GetReportResponse:
        """Return one report."""
        found = await self._handler.get_report(request.report_id)
        return pb.GetReportResponse(report=convert.report(found))

    async def ListAlerts(self, request: pb.ListAlertsRequest, _: object) -> pb.ListAlertsResponse:
        """List alerts, newest first."""
        found, token = await self._handler.list_alerts(
            request.task, request.unacknowledged_only, convert.page(request)
        )
        return pb.ListAlertsResponse(
            alerts=[convert.message(pb.Alert, each) for each in found], next_page_token=token
        )

    async def AcknowledgeAlert(
        self, request: pb.AcknowledgeAlertRequest, _: object
    ) -> pb.AcknowledgeAlertResponse:
        """Acknowledge an alert."""
        found = await self._handler.acknowledge_alert(request.alert_id, request.actor)
        return pb.AcknowledgeAlertResponse(alert=convert.message(pb.Alert, found))
