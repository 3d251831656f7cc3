"""ModelService."""

import asyncio
from typing import Any

from tidemill.v1 import model_service_pb2 as pb
from tidemill.v1 import model_service_pb2_grpc
from tidemill_core.clock import Clock
from tidemill_core.domain.access import Authentication
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.database import Page
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.models import ModelStore
from tidemill_server import convert
from tidemill_server.inference.query import MAX_COMMENT_LENGTH, MAX_KEY_LENGTH, check_words
from tidemill_server.inference.router import Router
from tidemill_server.interceptors.record import current_caller

Context = Any


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """Shows model versions and decides who answers."""

    def __init__(self, store: ModelStore, router: Router, clock: Clock) -> None:
        self._store = store
        self._router = router
        self._clock = clock

    async def ListModelVersions(
        self, request: pb.ListModelVersionsRequest, context: Context
    ) -> pb.ListModelVersionsResponse:
        """List model versions, newest first."""
        del context
        page = Page.parse(request.page_size, request.page_token)
        found, token = await asyncio.to_thread(self._store.page, request.task, page)
        return pb.ListModelVersionsResponse(
            model_versions=map(convert.model_version, found), next_page_token=token
        )

    async def GetModelVersion(
        self, request: pb.GetModelVersionRequest, context: Context
    ) -> pb.GetModelVersionResponse:
        """Return one model version."""
        del context
        self._router.task_settings(request.task)
        version = request.model_version or self._router.routes(request.task).deployment.champion
        found = await asyncio.to_thread(self._store.get, request.task, version)
        return pb.GetModelVersionResponse(model_version=convert.model_version(found))

    async def PromoteModelVersion(
        self, request: pb.PromoteModelVersionRequest, context: Context
    ) -> pb.PromoteModelVersionResponse:
        """Make a trusted version the champion."""
        del context
        change = self._change(request)
        deployment = await asyncio.to_thread(
            self._store.promote, request.task, request.model_version, change
        )
        return pb.PromoteModelVersionResponse(deployment=convert.deployment(deployment))

    async def RollbackModel(
        self, request: pb.RollbackModelRequest, context: Context
    ) -> pb.RollbackModelResponse:
        """Let the champion before this one answer again."""
        del context
        change = self._change(request)
        deployment = await asyncio.to_thread(self._store.rollback, request.task, change)
        return pb.RollbackModelResponse(deployment=convert.deployment(deployment))

    async def SetTraffic(
        self, request: pb.SetTrafficRequest, context: Context
    ) -> pb.SetTrafficResponse:
        """Set the canaries and shadows."""
        del context
        change = self._change(request)
        traffic = _traffic(request)
        deployment = await asyncio.to_thread(self._store.set_traffic, request.task, traffic, change)
        return pb.SetTrafficResponse(deployment=convert.deployment(deployment))

    async def ListDeployments(
        self, request: pb.ListDeploymentsRequest, context: Context
    ) -> pb.ListDeploymentsResponse:
        """List the changes of traffic, newest first."""
        del context
        page = Page.parse(request.page_size, request.page_token)
        found, token = await asyncio.to_thread(self._store.deployments_page, request.task, page)
        return pb.ListDeploymentsResponse(
            deployments=map(convert.deployment, found), next_page_token=token
        )

    def _change(
        self,
        request: pb.PromoteModelVersionRequest | pb.RollbackModelRequest | pb.SetTrafficRequest,
    ) -> Change:
        self._router.task_settings(request.task)
        check_words("actor", request.actor, MAX_KEY_LENGTH)
        check_words("comment", request.comment, MAX_COMMENT_LENGTH)
        check_words("request_id", request.request_id, MAX_KEY_LENGTH)
        caller = current_caller.get()
        is_known = caller.authentication is not Authentication.NONE
        actor = caller.name if is_known else request.actor or "unknown"
        return Change(actor, request.comment, request.request_id, self._clock())


def _traffic(request: pb.SetTrafficRequest) -> Traffic:
    canaries = {share.model_version: share.percent for share in request.canaries}
    if len(canaries) < len(request.canaries):
        raise InvalidArgument("DUPLICATE_VERSION", "canaries", "names a version twice")
    for index, share in enumerate(request.canaries):
        if not 1 <= share.percent <= 99:
            rule = f"{share.percent} is not a percentage from 1 to 99"
            raise InvalidArgument("INVALID_PERCENT", f"canaries[{index}].percent", rule)
    if sum(canaries.values()) > 99:
        raise InvalidArgument("INVALID_PERCENT", "canaries", "together reach 100 % or more")
    shadows = tuple(dict.fromkeys(request.shadows))
    if set(shadows) & canaries.keys():
        raise InvalidArgument("DUPLICATE_VERSION", "shadows", "names a version that is a canary")
    return Traffic(canaries, shadows)
