"""The name that is stored with a caller's action."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.integration.server.front import NOW, Workspace
from tidemill_core.domain.access import ANONYMOUS, Authentication, Caller, Scope
from tidemill_core.domain.alert import Severity
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_server.handlers.model import ModelHandler, NewChange
from tidemill_server.handlers.monitoring import MonitoringHandler
from tidemill_server.inference.router import Router
from tidemill_server.security.acting import current_caller

ANN = Caller("ann", Authentication.API_KEY, frozenset(Scope), frozenset(), None, "ann")


@pytest.fixture(params=[(ANN, "bob", "ann"), (ANONYMOUS, "bob", "bob"), (ANONYMOUS, "", "unknown")])
async def acting(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, str]]:
    """Return the name in the request, and the name that should be stored."""
    caller, given, counts = request.param
    token = current_caller.set(caller)
    yield given, counts
    current_caller.reset(token)


async def test_a_change_of_traffic_is_its_callers(
    workspace: Workspace, router: Router, acting: tuple[str, str]
) -> None:
    """An authenticated caller cannot act under another name."""
    given, counts = acting

    async def is_loaded(_name: str, _version: int) -> bool:
        return True

    handler = ModelHandler(
        workspace.storage.models,
        router,
        lambda: NOW,
        is_loaded,
        workspace.storage.pauses,
        workspace.storage.tracked_runs,
    )
    change = NewChange("support", given, "", "")
    assert (await handler.set_traffic(change, [], [2])).actor == counts


async def test_an_alert_is_its_callers(
    workspace: Workspace, router: Router, acting: tuple[str, str]
) -> None:
    """An authenticated caller cannot acknowledge an alert under another name."""
    given, counts = acting
    storage = workspace.storage
    report = Report("r", "support", "drift", 1, ReportVerdict.ALERT, "", {}, "", NOW)
    alert = storage.alerts.raise_alert(report, Severity.WARNING, "", [], timedelta())
    handler = MonitoringHandler(
        storage.reports, storage.alerts, storage.silences, router, lambda: NOW
    )
    taken = await handler.acknowledge_alert(alert.alert_id, given)
    assert taken.acknowledged_by == counts
