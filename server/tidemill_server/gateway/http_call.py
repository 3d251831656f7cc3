"""A request over HTTP, as a call of the pipeline."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tidemill_core.errors import InvalidArgument
from tidemill_server.gateway.json_body import InvalidField, encoded, parsed
from tidemill_server.gateway.operation import Operation
from tidemill_server.gateway.own_names import OwnNames
from tidemill_server.gateway.problem import UNSUPPORTED_MEDIA_TYPE
from tidemill_server.rpc.call import MAX_SECONDS, peer_of
from tidemill_server.rpc.decoding import MessageTooLarge
from tidemill_server.transports.room import Share

TIMEOUT_HEADER = "request-timeout"
"""The header with the seconds that a caller waits for the answer."""
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_UTF_8 = r"(\s*;\s*charset=\"?utf-8\"?)?"
_JSON = re.compile(f"application/json{_UTF_8}", re.IGNORECASE)
_LINES = re.compile(f"application/(x-ndjson|ndjson|jsonl){_UTF_8}", re.IGNORECASE)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Write = Callable[[bytes], Coroutine[Any, Any, None]]


class HttpCall:
    """One request.

    The call's messages are the lines of its body if the RPC takes a stream. Otherwise its one
    message is the JSON body, or the query.

    Args:
        operation: the route.
        scope: the request, as in ASGI.
        receive: returns the next event of its body.
        write: sends an answer's message.
        own_names: the names of this server.
        share: what the call holds of the room for large bodies.
    """

    def __init__(
        self,
        operation: Operation,
        scope: dict[str, Any],
        receive: Receive,
        write: Write,
        own_names: OwnNames,
        share: Share,
    ) -> None:
        self._operation = operation
        self._scope = scope
        self._receive = receive
        self._own_names = own_names
        self._share = share
        self._buffer = bytearray()
        self._number = 0
        self._is_over = False
        self.write = write
        self.metadata = tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
        self._headers = dict(self.metadata)
        self.peer = peer_of(scope.get("client"))
        self.deadline: float | None = None
        timeout = self._headers.get(TIMEOUT_HEADER, "")
        if _SECONDS.fullmatch(timeout) and (seconds := float(timeout)):
            self.deadline = asyncio.get_running_loop().time() + min(seconds, MAX_SECONDS)

    async def read(self) -> bytes | None:
        """Return the next message; None after the last.

        Raises:
            PermissionDenied: the request comes from another site's page.
            InvalidArgument: UNSUPPORTED_MEDIA_TYPE, INVALID_TIMEOUT, INVALID_FIELD or
                MALFORMED_MESSAGE.
            MessageTooLarge: the body or line is larger than the method's messages may be.
            NoRoom: the large bodies and messages of other calls leave no room for it.
            CancelledError: the caller is gone.
        """
        self._number += 1
        takes_many = self._operation.method.takes_many
        if self._number == 1:
            self._check(_LINES if takes_many else _JSON)
        elif not takes_many:
            return None
        if self._operation.reads_query:
            return self._encoded(self._operation.of_query(self._scope["query_string"]))
        if not takes_many:
            return self._encoded(parsed(await self._content(), self._operation.request))
        line = await self._line()
        if line is None:
            return None
        try:
            return self._encoded(parsed(line, self._operation.request))
        except InvalidArgument as error:
            rule = f"{error.description} (line {self._number})"
            raise InvalidArgument(error.reason, error.field, rule) from error

    def _encoded(self, fields: Any) -> bytes:
        operation = self._operation
        given = self._scope["path_params"]
        in_path = operation.of_path(given) if given else {}
        return encoded(operation.method.request, {**operation.defaults, **in_path, **fields})

    def _check(self, media_type: re.Pattern[str]) -> None:
        headers = self._headers
        self._own_names.check(headers.get("host", ""), headers.get("origin"))
        if TIMEOUT_HEADER in headers and self.deadline is None:
            rule = "must be a number of seconds above 0, such as 2.5"
            raise InvalidArgument("INVALID_TIMEOUT", TIMEOUT_HEADER, rule)
        if self._operation.reads_query:
            return
        if not media_type.fullmatch(headers.get("content-type", "")):
            kind = "application/json" if media_type is _JSON else "application/x-ndjson"
            raise _Unsupported("content-type", f"must be {kind}")
        if headers.get("content-encoding", "identity") != "identity":
            raise _Unsupported("content-encoding", "must be left out: bodies are not compressed")
        if self._scope["query_string"]:
            raise InvalidField("query", "must be empty: send the fields in the body")

    async def _content(self) -> bytes:
        while not self._is_over:
            await self._more()
        return bytes(self._buffer)

    async def _line(self) -> bytes | None:
        """Return the next line that is not blank; None after the last."""
        buffer, begin = self._buffer, 0
        while True:
            end = buffer.find(b"\n", begin)
            if end < 0 and not self._is_over:
                begin = len(buffer)
                await self._more()
                continue
            line = bytes(buffer[:end] if end >= 0 else buffer).strip()
            del buffer[: end + 1 if end >= 0 else None]
            begin = 0
            if line:
                return line
            if end < 0:
                return None
            self._number += 1

    async def _more(self) -> None:
        """Add the next part of the body to the buffer."""
        event = await self._receive()
        if event["type"] == "http.disconnect":
            raise asyncio.CancelledError
        self._is_over = not event.get("more_body", False)
        self._buffer += event.get("body", b"")
        if len(self._buffer) > self._operation.method.max_bytes:
            raise MessageTooLarge(self._operation.method.max_bytes)
        self._share.hold(len(self._buffer))


class _Unsupported(InvalidArgument):
    """A body that is no JSON in clear."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(UNSUPPORTED_MEDIA_TYPE, field, rule)
