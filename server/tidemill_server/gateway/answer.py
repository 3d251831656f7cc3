"""Answers over HTTP: one JSON document, lines of JSON, or server-sent events."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from tidemill_server.gateway.json_answer import json_bytes
from tidemill_server.gateway.operation import Operation
from tidemill_server.gateway.problem import headers_of, problem_of
from tidemill_server.rpc.status import OK, Status

Send = Callable[[dict[str, Any]], Awaitable[None]]

LINES_TYPE, EVENTS_TYPE = "application/x-ndjson", "text/event-stream"
_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_JSON_HEADERS = [(b"content-type", b"application/json"), *_HEADERS]
_HEARTBEAT_SECONDS = 2.0
"""Seconds between comments among events; a browser that went away is noticed when they fail."""


class Answer:
    """The answer of one request.

    Args:
        operation: the route.
        scope: the request, as in ASGI.
        send: sends an event of the answer.
    """

    def __init__(self, operation: Operation, scope: dict[str, Any], send: Send) -> None:
        self._operation = operation
        self._is_stream = operation.method.returns_many
        self._events = self._is_stream and (
            not operation.method.takes_many or _accepts_events(scope["headers"])
        )
        self._has_body = scope["method"] != "HEAD"
        self._send = send
        self._sending: asyncio.Lock | None = None
        self._heart: asyncio.Task[None] | None = None
        self._status = HTTPStatus.OK
        self._content = b""

    async def write(self, message: bytes) -> None:
        """Send a message of a stream, or keep the one message for the end."""
        fields = self._operation.convert(self._operation.method.response.FromString(message))
        if not self._is_stream:
            self._content = json_bytes(fields)
            healthy = self._operation.route.healthy
            if healthy and fields["status"] != healthy:
                self._status = HTTPStatus.SERVICE_UNAVAILABLE
            return
        try:
            await self._part("", fields)
        except OSError as error:  # the caller is gone
            raise asyncio.CancelledError from error

    async def end(self, status: Status) -> None:
        """Send what is left: the answer, or the problem document."""
        self.close()
        try:
            if status.code != OK.code and self._sending is None:
                await send_problem(self._send, problem_of(status), self._has_body)
            elif self._is_stream:
                await self._last(status)
            else:
                await send_whole(
                    self._send, self._status, _JSON_HEADERS, self._content, self._has_body
                )
        except OSError as error:
            raise asyncio.CancelledError from error

    def close(self) -> None:
        """Send no more comments."""
        if self._heart is not None:
            self._heart.cancel()

    async def _last(self, status: Status) -> None:
        """End a stream, whose HTTP status was sent before its first answer."""
        if status.code != OK.code:
            await self._part("problem", problem_of(status))
        elif self._events:
            await self._part("end", {})
        elif self._sending is None:
            await self._start()
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _part(self, event: str, fields: dict[str, Any]) -> None:
        sending = self._sending or await self._start()
        content = json_bytes(fields)
        if self._events:
            name = f"event: {event}\n".encode() if event else b""
            content = b"%bdata: %b\n\n" % (name, content)
        else:
            content = (b'{"%b":%b}\n' if event else b"%b%b\n") % (event.encode(), content)
        await self._body(content, sending)

    async def _start(self) -> asyncio.Lock:
        """Send the headers of a stream; return what lets one part through at a time."""
        self._sending = asyncio.Lock()
        kind = EVENTS_TYPE if self._events else LINES_TYPE
        headers = [(b"content-type", kind.encode()), (b"x-accel-buffering", b"no"), *_HEADERS]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._events:
            self._heart = asyncio.create_task(self._beat(self._sending))
        return self._sending

    async def _beat(self, sending: asyncio.Lock) -> None:
        with contextlib.suppress(OSError):  # h2corn cancels the call of a caller that is gone
            while True:
                await asyncio.sleep(_HEARTBEAT_SECONDS)
                await self._body(b":\n\n", sending)

    async def _body(self, content: bytes, sending: asyncio.Lock) -> None:
        async with sending:
            await self._send({"type": "http.response.body", "body": content, "more_body": True})


async def send_whole(
    send: Send,
    status: int,
    headers: Iterable[tuple[bytes, bytes]],
    content: bytes,
    has_body: bool = True,
) -> None:
    """Send an answer at once; one to HEAD has no body, but its length."""
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    body = content if has_body else b""
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_problem(
    send: Send,
    problem: dict[str, Any],
    has_body: bool = True,
    more_headers: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Send a problem document."""
    headers = {**headers_of(problem), **more_headers}
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    content = json_bytes(problem)
    await send_whole(send, problem["status"], [*fields, *_HEADERS], content, has_body)


def _accepts_events(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"accept" and EVENTS_TYPE.encode() in value for name, value in headers)
