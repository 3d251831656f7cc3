"""ModelService."""

from collections.abc import AsyncIterator

from tidemill.v1 import model_service_pb2 as pb
from tidemill_server import convert, convert_runs, convert_traffic
from tidemill_server.handlers.model import ModelHandler, NewChange
from tidemill_server.handlers.model_import import ModelImporter
from tidemill_server.handlers.rollout import RolloutHandler


class ModelServicer:
    """Shows model versions and changes which of them answer."""

    def __init__(
        self, handler: ModelHandler, importer: ModelImporter, rollouts: RolloutHandler
    ) -> None:
        self._handler = handler
        self._importer = importer
        self._rollouts = rollouts

    async def ListModelVersions(
        self, request: pb.ListModelVersionsRequest, _: object
    ) -> pb.ListModelVersionsResponse:
        """List model versions, newest first."""
        found, token = await self._handler.list_versions(request.task, convert.page(request))
        return pb.ListModelVersionsResponse(
            model_versions=map(convert.model_version, found), next_page_token=token
        )

    async def GetModelVersion(
        self, request: pb.GetModelVersionRequest, _: object
    ) -> pb.GetModelVersionResponse:
        """Return one model version."""
        found, gates, runs = await self._handler.get(request.task, request.model_version)
        return pb.GetModelVersionResponse(
            model_version=convert.model_version(found),
            gate_results=map(convert.gate_result, gates),
            tracked_runs=runs,
        )

    async def PromoteModelVersion(
        self, request: pb.PromoteModelVersionRequest, _: object
    ) -> pb.PromoteModelVersionResponse:
        """Make a trusted version the champion."""
        change = convert.value_of(NewChange, request)
        deployment = await self._handler.promote(change, request.model_version)
        return pb.PromoteModelVersionResponse(deployment=convert_traffic.deployment(deployment))

    async def RollbackModel(
        self, request: pb.RollbackModelRequest, _: object
    ) -> pb.RollbackModelResponse:
        """Make the previous champion answer again."""
        deployment = await self._handler.rollback(convert.value_of(NewChange, request))
        return pb.RollbackModelResponse(deployment=convert_traffic.deployment(deployment))

    async def SetTraffic(self, request: pb.SetTrafficRequest, _: object) -> pb.SetTrafficResponse:
        """Set the canaries and shadows."""
        canaries = convert.canaries(request)
        change = convert.value_of(NewChange, request)
        deployment = await self._handler.set_traffic(change, canaries, request.shadows)
        return pb.SetTrafficResponse(deployment=convert_traffic.deployment(deployment))

    async def ListTasks(self, _: pb.ListTasksRequest, __: object) -> pb.ListTasksResponse:
        """List the tasks and the versions that answer."""
        return pb.ListTasksResponse(
            tasks=[convert_traffic.served_task(*each) for each in self._handler.tasks().items()]
        )

    async def ListDeployments(
        self, request: pb.ListDeploymentsRequest, _: object
    ) -> pb.ListDeploymentsResponse:
        """List traffic changes, newest first."""
        found, token = await self._handler.list_deployments(request.task, convert.page(request))
        return pb.ListDeploymentsResponse(
            deployments=map(convert_traffic.deployment, found), next_page_token=token
        )

    async def ApproveModelVersion(
        self, request: pb.ApproveModelVersionRequest, _: object
    ) -> pb.ApproveModelVersionResponse:
        """Approve a version that waits for a person."""
        change = convert.value_of(NewChange, request)
        found = await self._handler.approve(change, request.model_version)
        return pb.ApproveModelVersionResponse(model_version=convert.model_version(found))

    async def RejectModelVersion(
        self, request: pb.RejectModelVersionRequest, _: object
    ) -> pb.RejectModelVersionResponse:
        """Reject a version that waits for a person."""
        change = convert.value_of(NewChange, request)
        found = await self._handler.reject(change, request.model_version)
        return pb.RejectModelVersionResponse(model_version=convert.model_version(found))

    async def PauseReleases(
        self, request: pb.PauseReleasesRequest, _: object
    ) -> pb.PauseReleasesResponse:
        """Stop a task's retrainings and promotions."""
        await self._handler.pause(NewChange(request.task, request.actor, request.comment, ""))
        return pb.PauseReleasesResponse()

    async def ResumeReleases(
        self, request: pb.ResumeReleasesRequest, _: object
    ) -> pb.ResumeReleasesResponse:
        """Allow a task's retrainings and promotions again."""
        change = NewChange(request.task, request.actor, request.comment, "")
        return pb.ResumeReleasesResponse(was_paused=await self._handler.resume(change))

    async def ImportModelVersion(
        self, request_iterator: AsyncIterator[pb.ImportModelVersionRequest], _: object
    ) -> pb.ImportModelVersionResponse:
        """Store a model that was made elsewhere, and queue the run that judges it."""
        messages = (convert_runs.import_message(request) async for request in request_iterator)
        run = await self._importer.receive(messages)
        return pb.ImportModelVersionResponse(job_run=convert_runs.job_run(run))

    async def GetRollout(self, request: pb.GetRolloutRequest, _: object) -> pb.GetRolloutResponse:
        """Return a version's rollout."""
        found = await self._rollouts.get(request.task, request.model_version)
        return pb.GetRolloutResponse(rollout=convert_runs.rollout(found))

    async def WatchRollout(
        self, request: pb.WatchRolloutRequest, _: object
    ) -> AsyncIterator[pb.WatchRolloutResponse]:
        """Send a version's rollout immediately and after each change, until it ends."""
        async for found in self._rollouts.watch(request.task, request.model_version):
            yield pb.WatchRolloutResponse(rollout=convert_runs.rollout(found))
