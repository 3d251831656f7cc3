"""MonitoringService."""

import asyncio
from typing import Any

from tidemill.v1 import monitoring_service_pb2 as pb
from tidemill.v1 import monitoring_service_pb2_grpc
from tidemill_core.clock import Clock
from tidemill_core.storage.database import Page
from tidemill_core.storage.reports import ReportStore
from tidemill_server import convert
from tidemill_server.inference.query import MAX_KEY_LENGTH, check_words

Context = Any


class MonitoringServicer(monitoring_service_pb2_grpc.MonitoringServiceServicer):
    """Shows what the checks found."""

    def __init__(self, store: ReportStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def ListReports(
        self, request: pb.ListReportsRequest, context: Context
    ) -> pb.ListReportsResponse:
        """List reports, newest first."""
        del context
        page = Page.parse(request.page_size, request.page_token)
        found, token = await asyncio.to_thread(self._store.page, request.task, request.kind, page)
        return pb.ListReportsResponse(reports=map(convert.report, found), next_page_token=token)

    async def GetReport(
        self, request: pb.GetReportRequest, context: Context
    ) -> pb.GetReportResponse:
        """Return one report."""
        del context
        found = await asyncio.to_thread(self._store.get, request.report_id)
        return pb.GetReportResponse(report=convert.report(found))

    async def ListAlerts(
        self, request: pb.ListAlertsRequest, context: Context
    ) -> pb.ListAlertsResponse:
        """List alerts, newest first."""
        del context
        page = Page.parse(request.page_size, request.page_token)
        found, token = await asyncio.to_thread(
            self._store.alerts_page, request.task, request.unacknowledged_only, page
        )
        return pb.ListAlertsResponse(alerts=map(convert.alert, found), next_page_token=token)

    async def AcknowledgeAlert(
        self, request: pb.AcknowledgeAlertRequest, context: Context
    ) -> pb.AcknowledgeAlertResponse:
        """Note who took an alert on."""
        del context
        check_words("actor", request.actor, MAX_KEY_LENGTH)
        found = await asyncio.to_thread(
            self._store.acknowledge, request.alert_id, request.actor or "unknown", self._clock()
        )
        return pb.AcknowledgeAlertResponse(alert=convert.alert(found))
