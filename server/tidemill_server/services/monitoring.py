"""MonitoringService."""

from tidemill.v1 import monitoring_service_pb2 as pb
from tidemill_server import convert
from tidemill_server.handlers.monitoring import MonitoringHandler


class MonitoringServicer:
    """Shows reports and alerts, acknowledges alerts and silences them."""

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
            request.task,
            request.unacknowledged_only,
            request.unresolved_only,
            convert.page(request),
        )
        return pb.ListAlertsResponse(alerts=map(convert.alert, found), next_page_token=token)

    async def AcknowledgeAlert(
        self, request: pb.AcknowledgeAlertRequest, _: object
    ) -> pb.AcknowledgeAlertResponse:
        """Acknowledge an alert."""
        found = await self._handler.acknowledge_alert(request.alert_id, request.actor)
        return pb.AcknowledgeAlertResponse(alert=convert.alert(found))

    async def SilenceAlerts(
        self, request: pb.SilenceAlertsRequest, _: object
    ) -> pb.SilenceAlertsResponse:
        """Silence alerts."""
        made = await self._handler.silence_alerts(
            request.task,
            request.kind,
            convert.time(request, "end_time"),
            request.reason,
            request.actor,
        )
        return pb.SilenceAlertsResponse(silence=convert.message(pb.Silence, made))

    async def ListSilences(
        self, request: pb.ListSilencesRequest, _: object
    ) -> pb.ListSilencesResponse:
        """List silences, newest first."""
        found, token = await self._handler.list_silences(request.active_only, convert.page(request))
        return pb.ListSilencesResponse(
            silences=[convert.message(pb.Silence, each) for each in found], next_page_token=token
        )

    async def EndSilence(self, request: pb.EndSilenceRequest, _: object) -> pb.EndSilenceResponse:
        """End a silence."""
        ended, was_active = await self._handler.end_silence(request.silence_id)
        silence = convert.message(pb.Silence, ended)
        return pb.EndSilenceResponse(silence=silence, was_active=was_active)
