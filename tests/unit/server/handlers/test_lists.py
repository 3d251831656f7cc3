"""Lists with a filter, of tasks that exist, were removed, or were never named."""

from dataclasses import replace

import pytest

from tests.contract.storage.values import report
from tests.integration.server.front import NOW, Workspace
from tidemill_core.domain.job import Job
from tidemill_core.errors import InvalidArgument
from tidemill_core.settings.sagemaker import SagemakerSettings
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_server.handlers.job import JobHandler
from tidemill_server.handlers.job_parameters import ParameterRules
from tidemill_server.handlers.monitoring import MonitoringHandler
from tidemill_server.inference.router import Router


def monitoring(workspace: Workspace, router: Router) -> MonitoringHandler:
    """Return a handler over the workspace's database."""
    storage = workspace.storage
    stores = storage.reports, storage.alerts, storage.silences
    return MonitoringHandler(*stores, router, lambda: NOW)


def jobs(workspace: Workspace, router: Router) -> JobHandler:
    """Return a handler over the workspace's database."""
    rules = ParameterRules(workspace.storage.models, SagemakerSettings())
    return JobHandler(workspace.storage.jobs, rules, router, lambda: NOW)


async def test_a_filter_may_leave_nothing_of_a_removed_task(
    workspace: Workspace, router: Router
) -> None:
    """A task that was removed from the settings is known as long as it has rows of the list."""
    storage = workspace.storage
    storage.reports.add(replace(report("r1", kind="accuracy"), task="removed"))
    storage.jobs.enqueue(RunRequest("retrain", "removed", "test"), NOW)
    storage.jobs.set_catalog([Job("retrain", "", ""), Job("rollout", "", "")])
    reports, runs = monitoring(workspace, router), jobs(workspace, router)
    assert len((await reports.list_reports("removed", "accuracy", Page()))[0]) == 1
    assert await reports.list_reports("removed", "drift", Page()) == ([], "")
    assert await reports.list_reports("removed", "", Page(before=1)) == ([], "")
    assert len((await runs.list_runs("retrain", "removed", Page()))[0]) == 1
    assert await runs.list_runs("rollout", "removed", Page()) == ([], "")
    for kind in ("", "drift"):
        with pytest.raises(InvalidArgument, match="there is no task 'never'; there are: support"):
            await reports.list_reports("never", kind, Page())


async def test_an_unknown_kind_of_reports_is_refused(workspace: Workspace, router: Router) -> None:
    """The error names the kinds that exist."""
    with pytest.raises(InvalidArgument, match="accuracy, drift, feedback") as refused:
        await monitoring(workspace, router).list_reports("", "drfit", Page())
    assert (refused.value.reason, refused.value.field) == ("UNKNOWN_KIND", "kind")


async def test_runs_of_an_unknown_job_are_refused(workspace: Workspace, router: Router) -> None:
    """The error names the jobs; runs of a job that a release removed are still listed."""
    store, handler = workspace.storage.jobs, jobs(workspace, router)
    assert await handler.list_runs("retrain", "", Page()) == ([], "")  # no process of jobs yet
    store.set_catalog([Job("retrain", "", "")])
    store.enqueue(RunRequest("removed", "support", "test"), NOW)
    assert len((await handler.list_runs("removed", "", Page()))[0]) == 1
    assert await handler.list_runs("retrain", "support", Page()) == ([], "")
    with pytest.raises(InvalidArgument, match="no job 'retrian'; there are: retrain") as refused:
        await handler.list_runs("retrian", "support", Page())
    assert (refused.value.reason, refused.value.field) == ("UNKNOWN_JOB", "job")
