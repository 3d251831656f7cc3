"""Writes admin actions down: who did what, when, and how it ended.

An action's record is written before its answer is sent. Should it fail to be written, the action
has been done all the same and its answer is true, so it is sent; the log then has the record, as
an error.
"""

import asyncio
from typing import Any

import structlog
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tidemill_core.clock import Clock
from tidemill_core.domain.access import AuditRecord, Caller
from tidemill_core.errors import TidemillError
from tidemill_core.storage.audit import AuditStore

MAX_STRING = 500
"""Characters of a field."""
MAX_ITEMS = 100
"""Items of a field that repeats."""
_MAX_TASK = 40
_MAX_PEER = 200
_LEFT_OUT = frozenset({"text", "texts"})

log = structlog.get_logger()


class Auditor:
    """Writes audit records."""

    def __init__(self, store: AuditStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def record(
        self, caller: Caller, method: str, request: object, *, code: str, reason: str, peer: str
    ) -> None:
        """Write an admin action down; returns when that is durable, or was logged as failed.

        Args:
            caller: who was admitted.
            method: what was called: `/tidemill.v1.ModelService/SetTraffic`.
            request: the message; anything else counts as one without fields.
            code: how it ended: `OK`, or the name of the status code.
            reason: of the error; empty where there is none.
            peer: the address that it came from.
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
            create_time=self._clock(),
        )
        try:
            # A caller that hangs up ends the wait, and not the writing.
            await asyncio.to_thread(self._store.append, record)
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
    """A message's fields for the record, without texts; what is long is cut."""
    if not isinstance(request, Message):
        return {}
    fields = MessageToDict(request, preserving_proto_field_name=True)
    return {name: _cut(value) for name, value in fields.items() if name not in _LEFT_OUT}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:MAX_STRING].replace("\x00", "\ufffd")  # PostgreSQL stores no NUL
    if isinstance(value, list):
        return [_cut(each) for each in value[:MAX_ITEMS]]
    if isinstance(value, dict):
        return {name[:MAX_STRING]: _cut(value[name]) for name in list(value)[:MAX_ITEMS]}
    return value
