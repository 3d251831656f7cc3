"""The audit trail of admin actions: who did what, when, and how it ended.

An action's record is written before its answer is sent. If writing fails, the action has still been
done, so its answer is sent, and the record is logged as an error.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog
from google.protobuf.json_format import MessageToDict, SerializeToJsonError
from google.protobuf.message import Message

from tidemill_core.clock import Clock
from tidemill_core.domain.access import AuditRecord, Caller
from tidemill_core.errors import TidemillError
from tidemill_core.storage.audit import AuditStore

MAX_STRING = 500
"""Characters of a field's value that are kept."""
MAX_ITEMS = 100
"""Items of a repeated field that are kept."""
_MAX_TASK = 40
_MAX_PEER = 200
_LEFT_OUT = frozenset({"text", "texts"})

log = structlog.get_logger()


@dataclass(frozen=True)
class Auditor:
    """The writer of audit records."""

    store: AuditStore
    clock: Clock

    async def record(
        self, caller: Caller, method: str, request: object, *, code: str, reason: str, peer: str
    ) -> None:
        """Record an admin action durably; if that fails, log the record.

        Args:
            caller: the admitted caller.
            method: the method's path, such as `/tidemill.v1.ModelService/SetTraffic`.
            request: the message; anything else is recorded as a message without fields.
            code: the name of the status code.
            reason: the error's reason; empty without an error.
            peer: the caller's address.
        """
        fields = request_fields(request)
        record = AuditRecord(
            caller=caller.name,
            authentication=caller.authentication,
            method=method,
            task=str(fields.get("task", ""))[:_MAX_TASK],
            code=code,
            reason=reason,
            request=fields,
            peer=peer[:_MAX_PEER],
            create_time=self.clock(),
        )
        try:
            # A caller that hangs up ends the wait, but not the write.
            await asyncio.to_thread(self.store.append, record)
        except TidemillError as error:
            log.error(
                "audit_record_not_written",
                why=error.detail or str(error),
                caller=record.caller,
                method=method,
                code=code,
                reason=reason,
                request=record.request,
            )


def request_fields(request: object) -> dict[str, Any]:
    """Return a message's fields for the record, without texts and with long values cut."""
    if not isinstance(request, Message):
        return {}
    try:
        fields = MessageToDict(request, preserving_proto_field_name=True)
    except (ValueError, SerializeToJsonError):  # a time out of range
        return {}
    return {name: _cut(value) for name, value in fields.items() if name not in _LEFT_OUT}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_STRING].replace("\x00", "\ufffd")  # PostgreSQL stores no NUL
    if isinstance(value, list):
        return [_cut(each) for each in value[:MAX_ITEMS]]
    if isinstance(value, dict):
        return {name[:MAX_STRING]: _cut(value[name]) for name in list(value)[:MAX_ITEMS]}
    return value
