"""Keys, and the audit trail of admin actions."""

from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.responses import Response

from tidemill.v1 import access_service_pb2 as pb
from tidemill_core.domain.access import Scope
from tidemill_server.console.navigation import ROOT
from tidemill_server.console.routes import get, post
from tidemill_server.console.visit import Visit

_RECORDS = 50
_MAX_DAYS = 3650
_HERE = f"{ROOT}/keys"


async def show(visit: Visit) -> Response:
    """Show all keys and the newest admin actions."""
    return await _shown(visit, "")


async def create(visit: Visit) -> Response:
    """Make a key, and show it this once."""
    form = visit.form
    request = pb.CreateApiKeyRequest(
        name=form.get("name", "").strip(),
        scopes=[scope for scope in Scope if form.get(f"scope_{scope}")],
        tasks=[task for task in visit.tasks if form.get(f"task_{task}")],
    )
    if days := min(visit.number("days"), _MAX_DAYS):
        end = Timestamp()
        end.FromDatetime(visit.console.clock() + timedelta(days=days))
        request.expire_time.CopyFrom(end)
    if rate := visit.number("requests_per_second"):
        request.requests_per_second = rate
    made = await visit.ask(request, pb.CreateApiKeyResponse)
    return await _shown(visit, made.credential)


async def _shown(visit: Visit, credential: str) -> Response:
    keys = await visit.ask(pb.ListApiKeysRequest(), pb.ListApiKeysResponse)
    request = pb.ListAuditRecordsRequest(
        page_size=_RECORDS, page_token=visit.request.query_params.get("after", "")
    )
    audit = await visit.ask(request, pb.ListAuditRecordsResponse)
    return visit.show(
        "keys.html",
        keys=keys.api_keys,
        records=audit.audit_records,
        after=audit.next_page_token,
        credential=credential,
        scopes=list(Scope),
        now=visit.console.clock(),
    )


async def revoke(visit: Visit) -> Response:
    """Revoke a key."""
    request = pb.RevokeApiKeyRequest(key_id=visit.form.get("key_id", ""))
    await visit.ask(request, pb.RevokeApiKeyResponse)
    return visit.go(_HERE, "key_revoked")


ROUTES = (get("/keys", show), post("/keys", create), post("/keys/revoke", revoke))
