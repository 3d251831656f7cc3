"""AccessService."""

from tidemill.v1 import access_service_pb2 as pb
from tidemill_core.domain.access import ApiKey
from tidemill_server import convert
from tidemill_server.handlers.access import AccessHandler


class AccessServicer:
    """Makes and revokes API keys, and shows the audit trail."""

    def __init__(self, handler: AccessHandler) -> None:
        self._handler = handler

    async def ListApiKeys(self, _: pb.ListApiKeysRequest, __: object) -> pb.ListApiKeysResponse:
        """List API keys, newest first."""
        return pb.ListApiKeysResponse(api_keys=map(_api_key, await self._handler.list_keys()))

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, _: object
    ) -> pb.CreateApiKeyResponse:
        """Make an API key."""
        rate = request.requests_per_second if request.HasField("requests_per_second") else None
        expire_time = convert.time(request, "expire_time")
        made, credential = await self._handler.create_key(
            request.name, request.scopes, request.tasks, rate, expire_time
        )
        return pb.CreateApiKeyResponse(api_key=_api_key(made), credential=credential)

    async def RevokeApiKey(
        self, request: pb.RevokeApiKeyRequest, _: object
    ) -> pb.RevokeApiKeyResponse:
        """Revoke an API key."""
        return pb.RevokeApiKeyResponse(
            api_key=_api_key(await self._handler.revoke_key(request.key_id))
        )

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, _: object
    ) -> pb.ListAuditRecordsResponse:
        """List admin actions, newest first."""
        found, token = await self._handler.list_audit(
            request.task, request.caller, convert.page(request)
        )
        records = [convert.message(pb.AuditRecord, each) for each in found]
        return pb.ListAuditRecordsResponse(audit_records=records, next_page_token=token)


def _api_key(value: ApiKey) -> pb.ApiKey:
    scopes, tasks = sorted(value.scopes), sorted(value.tasks)
    return convert.message(pb.ApiKey, value, scopes=scopes, tasks=tasks)
