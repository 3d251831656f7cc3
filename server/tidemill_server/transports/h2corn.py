"""gRPC over ASGI, on h2corn's HTTP/2 server."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from google.rpc import code_pb2

from tidemill_core.settings import Settings
from tidemill_server.rpc.call import MAX_SECONDS, peer_of
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.pipeline import Pipeline
from tidemill_server.rpc.status import Status
from tidemill_server.transports.embedded import (
    LIMITS,
    EmbeddedServer,
    EmbeddedTransport,
    Port,
)
from tidemill_server.transports.framing import ENCODINGS, MessageReader, Receive
from tidemill_server.transports.metadata import Head, InvalidHead, fields_of, head_of
from tidemill_server.transports.room import Room, Share
from tidemill_server.transports.transport import MAX_METADATA_BYTES, MAX_STREAMS_A_CONNECTION

_CONFIG = replace(
    LIMITS,
    grpc=True,
    http1=False,
    max_concurrent_streams=MAX_STREAMS_A_CONNECTION,
    # What a connection may send before its calls read it.
    h2_initial_stream_window_size=256 * 1024,
    h2_initial_connection_window_size=1024 * 1024,
    # Up to here, the answer to too much metadata is gRPC's; beyond it is HTTP's 431.
    h2_max_header_list_size=8 * MAX_METADATA_BYTES,
)
_CONTENT_TYPE = (b"content-type", b"application/grpc")
_ACCEPTED = (b"grpc-accept-encoding", b",".join([b"identity", *ENCODINGS]))
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [_CONTENT_TYPE],
    "trailers": True,
}
_BODY, _TRAILERS = "http.response.body", "http.response.trailers"
_END_OF_BODY = {"type": _BODY, "body": b"", "more_body": False}
_OK_TRAILERS = {"type": _TRAILERS, "headers": [(b"grpc-status", b"0")]}

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class H2cornTransport(EmbeddedTransport):
    """The gRPC port on h2corn."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        methods: Mapping[str, Method],
        room: Room,
    ) -> None:
        port = Port("grpc_port", settings.grpc_host, settings.grpc_port)
        super().__init__(EmbeddedServer(self._serve, _CONFIG, settings.tls), port)
        self._pipeline = pipeline
        self._room = room
        self._methods = {path.encode(): method for path, method in methods.items()}

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request: the ASGI application."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        try:
            head = head_of(scope["headers"])
        except InvalidHead as error:
            return await _refuse(send, error.code, str(error))
        # gRPC's paths have neither escapes nor queries, so the path counts as it was sent.
        method = None if scope["query_string"] else self._methods.get(scope["raw_path"])
        if refused := _http_status(scope, head):
            return await _answer_http(send, refused)
        if method is None:
            return await _refuse(send, code_pb2.UNIMPLEMENTED, "Method not found!")
        if not head.trailers:
            return await _refuse(send, code_pb2.INTERNAL, "te: trailers is missing")
        if head.encoding != b"identity" and head.encoding not in ENCODINGS:
            message = "grpc-encoding names an encoding that is not accepted here"
            return await _refuse(send, code_pb2.UNIMPLEMENTED, message)
        share = Share(self._room)
        reader = MessageReader(receive, head.encoding, method.max_bytes, share)
        call = _Call(scope, head, method, reader, send)
        try:
            status = await self._pipeline.serve(method, call)
        finally:
            share.close()
        return await call.end(status)


class _Call:
    """One call, as `tidemill_server.rpc.call.Call`."""

    __slots__ = (
        *("_answer", "_client", "_is_started", "_reader", "_returns_many", "_send"),
        *("deadline", "metadata"),
    )

    def __init__(
        self, scope: Scope, head: Head, method: Method, reader: MessageReader, send: Send
    ) -> None:
        self.metadata = head.metadata
        self.deadline: float | None = None
        if head.timeout is not None:
            now = asyncio.get_running_loop().time()
            self.deadline = now + min(head.timeout, MAX_SECONDS)
        self._client = scope.get("client")
        self._reader = reader
        self._send = send
        self._returns_many = method.returns_many
        self._is_started = False
        self._answer: bytes | None = None

    @property
    def peer(self) -> str:
        return peer_of(self._client)

    async def read(self) -> bytes | None:
        return await self._reader.next()

    async def write(self, message: bytes) -> None:
        frame = b"\0" + len(message).to_bytes(4, "big") + message
        if not self._returns_many:
            self._answer = frame  # sent with the status
            return
        try:
            if not self._is_started:
                self._is_started = True
                await self._send(_START)
            await self._send({"type": _BODY, "body": frame, "more_body": True})
        except OSError as error:  # the caller is gone
            raise asyncio.CancelledError from error

    async def end(self, status: Status) -> None:
        """Send what is left: an answer, and the status."""
        send = self._send
        try:
            if status.code == code_pb2.OK and self._answer is not None:
                await send(_START)
                await send({"type": _BODY, "body": self._answer, "more_body": False})
                await send(_OK_TRAILERS)
            elif self._is_started:
                await send(_END_OF_BODY)
                await send({"type": _TRAILERS, "headers": fields_of(status)})
            else:
                await _end_at_once(send, status)
        except OSError as error:
            raise asyncio.CancelledError from error


def _http_status(scope: Scope, head: Head) -> int | None:
    """Return the HTTP status for a request that is not gRPC's."""
    if not head.content_type.startswith(b"application/grpc"):
        return 415
    return 405 if scope["method"] != "POST" else None


async def _answer_http(send: Send, http_status: int) -> None:
    await send({"type": "http.response.start", "status": http_status, "headers": []})
    await send(_END_OF_BODY)


async def _refuse(send: Send, code: int, message: str) -> None:
    await _end_at_once(send, Status(code, message))


async def _end_at_once(send: Send, status: Status) -> None:
    """Send a status without messages, in the fields of one frame."""
    fields = [_CONTENT_TYPE, *fields_of(status)]
    if status.code == code_pb2.UNIMPLEMENTED:
        fields.append(_ACCEPTED)
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send(_END_OF_BODY)
