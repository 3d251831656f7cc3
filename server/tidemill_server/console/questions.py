"""Questions to the services that several pages ask."""

from tidemill.v1 import dataset_service_pb2 as dataset_pb
from tidemill.v1 import job_service_pb2 as job_pb
from tidemill.v1 import model_service_pb2 as model_pb
from tidemill.v1 import monitoring_service_pb2 as monitoring_pb
from tidemill_core.errors import NoChampion
from tidemill_server.console.routes import problem
from tidemill_server.console.visit import Visit
from tidemill_server.gateway.problem import Failed


async def champion(visit: Visit, task: str) -> model_pb.ModelVersion | None:
    """Return the version that answers; None before the first."""
    request = model_pb.GetModelVersionRequest(task=task)
    try:
        return (await visit.ask(request, model_pb.GetModelVersionResponse)).model_version
    except Failed as failed:
        if problem(failed).reason == NoChampion.reason:
            return None
        raise


async def versions(visit: Visit, task: str, count: int) -> list[model_pb.ModelVersion]:
    """Return a task's newest versions, newest first."""
    request = model_pb.ListModelVersionsRequest(task=task, page_size=count)
    return list((await visit.ask(request, model_pb.ListModelVersionsResponse)).model_versions)


async def deployment(visit: Visit, task: str) -> model_pb.Deployment | None:
    """Return which versions answer; None before the first."""
    request = model_pb.ListDeploymentsRequest(task=task, page_size=1)
    found = (await visit.ask(request, model_pb.ListDeploymentsResponse)).deployments
    return found[0] if found else None


async def rollout(visit: Visit, task: str, version: int) -> model_pb.Rollout | None:
    """Return a version's rollout; None if it has none."""
    request = model_pb.GetRolloutRequest(task=task, model_version=version)
    try:
        return (await visit.ask(request, model_pb.GetRolloutResponse)).rollout
    except Failed as failed:
        if problem(failed).reason == "ROLLOUT_NOT_FOUND":
            return None
        raise


async def reports(visit: Visit, task: str, of: str, count: int) -> list[monitoring_pb.Report]:
    """Return a task's newest reports of a kind."""
    request = monitoring_pb.ListReportsRequest(task=task, kind=of, page_size=count)
    return list((await visit.ask(request, monitoring_pb.ListReportsResponse)).reports)


async def dataset(visit: Visit, task: str) -> dataset_pb.DatasetVersion | None:
    """Return the dataset version that was built last; None before the first."""
    request = dataset_pb.ListDatasetVersionsRequest(task=task, page_size=1)
    answer = await visit.ask(request, dataset_pb.ListDatasetVersionsResponse)
    return answer.dataset_versions[0] if answer.dataset_versions else None


async def runs(visit: Visit, task: str, job: str, count: int) -> list[job_pb.JobRun]:
    """Return a task's newest runs of a job; of all jobs if it is empty."""
    request = job_pb.ListJobRunsRequest(task=task, job=job, page_size=count)
    return list((await visit.ask(request, job_pb.ListJobRunsResponse)).job_runs)


async def open_alerts(visit: Visit, task: str) -> list[monitoring_pb.Alert]:
    """Return a task's unresolved alerts, newest first."""
    request = monitoring_pb.ListAlertsRequest(task=task, unresolved_only=True, page_size=10)
    return list((await visit.ask(request, monitoring_pb.ListAlertsResponse)).alerts)
