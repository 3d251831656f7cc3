"""Questions to the services that several pages ask."""

from tidemill.v1 import dataset_service_pb2, job_service_pb2, model_service_pb2
from tidemill.v1 import monitoring_service_pb2 as monitoring_pb
from tidemill_core.errors import NoChampion
from tidemill_server.console.routes import problem
from tidemill_server.console.visit import Visit
from tidemill_server.gateway.problem import Failed


async def champion(visit: Visit, task: str) -> model_service_pb2.ModelVersion | None:
    """Return the version that answers; None before the first."""
    request = model_service_pb2.GetModelVersionRequest(task=task)
    kind = model_service_pb2.GetModelVersionResponse
    try:
        return (await visit.ask("ModelService/GetModelVersion", request, kind)).model_version
    except Failed as failed:
        if problem(failed).reason == NoChampion.reason:
            return None
        raise


async def versions(visit: Visit, task: str, count: int) -> list[model_service_pb2.ModelVersion]:
    """Return a task's newest versions, newest first."""
    request = model_service_pb2.ListModelVersionsRequest(task=task, page_size=count)
    kind = model_service_pb2.ListModelVersionsResponse
    return list((await visit.ask("ModelService/ListModelVersions", request, kind)).model_versions)


async def deployment(visit: Visit, task: str) -> model_service_pb2.Deployment | None:
    """Return which versions answer; None before the first."""
    request = model_service_pb2.ListDeploymentsRequest(task=task, page_size=1)
    kind = model_service_pb2.ListDeploymentsResponse
    found = (await visit.ask("ModelService/ListDeployments", request, kind)).deployments
    return found[0] if found else None


async def rollout(visit: Visit, task: str, version: int) -> model_service_pb2.Rollout | None:
    """Return a version's rollout; None if it has none."""
    request = model_service_pb2.GetRolloutRequest(task=task, model_version=version)
    kind = model_service_pb2.GetRolloutResponse
    try:
        return (await visit.ask("ModelService/GetRollout", request, kind)).rollout
    except Failed as failed:
        if problem(failed).reason == "ROLLOUT_NOT_FOUND":
            return None
        raise


async def reports(visit: Visit, task: str, of: str, count: int) -> list[monitoring_pb.Report]:
    """Return a task's newest reports of a kind."""
    request = monitoring_pb.ListReportsRequest(task=task, kind=of, page_size=count)
    kind = monitoring_pb.ListReportsResponse
    return list((await visit.ask("MonitoringService/ListReports", request, kind)).reports)


async def dataset(visit: Visit, task: str) -> dataset_service_pb2.DatasetVersion | None:
    """Return the dataset version that was built last; None before the first."""
    request = dataset_service_pb2.ListDatasetVersionsRequest(task=task, page_size=1)
    kind = dataset_service_pb2.ListDatasetVersionsResponse
    answer = await visit.ask("DatasetService/ListDatasetVersions", request, kind)
    return answer.dataset_versions[0] if answer.dataset_versions else None


async def runs(visit: Visit, task: str, job: str, count: int) -> list[job_service_pb2.JobRun]:
    """Return a task's newest runs of a job; of all jobs if it is empty."""
    request = job_service_pb2.ListJobRunsRequest(task=task, job=job, page_size=count)
    kind = job_service_pb2.ListJobRunsResponse
    return list((await visit.ask("JobService/ListJobRuns", request, kind)).job_runs)


async def open_alerts(visit: Visit, task: str) -> list[monitoring_pb.Alert]:
    """Return a task's unresolved alerts, newest first."""
    request = monitoring_pb.ListAlertsRequest(task=task, unresolved_only=True, page_size=10)
    kind = monitoring_pb.ListAlertsResponse
    return list((await visit.ask("MonitoringService/ListAlerts", request, kind)).alerts)
