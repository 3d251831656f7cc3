"""gRPC on grpcio's own server."""

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from tidemill_core.errors import AlreadyRunning
from tidemill_core.settings import Settings
from tidemill_server.rpc.call import MAX_SECONDS, Metadata
from tidemill_server.rpc.decoding import MessageTooLarge
from tidemill_server.rpc.methods import MAX_MESSAGE_BYTES, Method
from tidemill_server.rpc.pipeline import Pipeline
from tidemill_server.security.tls import read_tls
from tidemill_server.transports.transport import (
    GRACE_SECONDS,
    MAX_METADATA_BYTES,
    MAX_STREAMS_A_CONNECTION,
)

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS_A_CONNECTION),
    # Without it, the streams of a caller whose connection broke would stay open.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    # Tidemill's clients send a ping every 30 s.
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
)
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_CANCELLED_BY_THEN_SECONDS = 0.02
"""Wait after a half-close without a message. grpcio reports one also for a call that its caller or
its deadline cancels, and the cancellation follows within this time."""
_REFUSING_SECONDS = 0.2
"""Time in which calls are refused as UNAVAILABLE before the server stops, which answers CANCELLED
to those that are arriving."""

Context = Any


class GrpcioTransport:
    """The gRPC port on grpcio."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        methods: Mapping[str, Method],
        share_port: bool,
    ) -> None:
        options = [("grpc.so_reuseport", int(share_port)), *SERVER_OPTIONS]
        self._settings = settings
        self._server = grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((_Handlers(pipeline, methods),))

    async def start(self) -> None:
        """Listen, as in `Transport`."""
        host, port = self._settings.grpc_host, self._settings.grpc_port
        target = (
            f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
        )
        tls = read_tls(self._settings.tls)
        try:
            if tls is None:
                self._server.add_insecure_port(target)
            else:
                credentials = grpc.ssl_server_credentials(
                    [(tls.private_key, tls.certificate)], tls.client_ca, tls.client_ca is not None
                )
                self._server.add_secure_port(target, credentials)
        except RuntimeError as error:
            message = f"port {port} on {host} is taken; set TIDEMILL_GRPC_PORT to a free one"
            raise AlreadyRunning(message) from error
        await self._server.start()

    async def wait(self) -> None:
        """Wait for the end, as in `Transport`."""
        # Cancelled itself, it would cancel the server's own future of its end.
        await asyncio.shield(self._server.wait_for_termination())

    async def retire(self) -> None:
        """Do nothing: grpcio cannot refuse connections and go on answering calls."""

    async def stop(self) -> None:
        """Stop, as in `Transport`."""
        await asyncio.sleep(_REFUSING_SECONDS)
        await self._server.stop(GRACE_SECONDS)


class _Handlers(grpc.GenericRpcHandler):
    """grpcio's handlers of all methods."""

    def __init__(self, pipeline: Pipeline, methods: Mapping[str, Method]) -> None:
        self._handlers = {path: _handler(pipeline, each) for path, each in methods.items()}

    def service(self, handler_call_details: Any) -> Any:
        """Return a method's handler; None if there is no such method."""
        return self._handlers.get(handler_call_details.method)


def _handler(pipeline: Pipeline, method: Method) -> Any:
    # Every method is registered as taking a stream. Otherwise grpcio would read the message before
    # the caller is checked, wait for it without limit, and never answer a caller that half-closes
    # without sending it.
    async def serve(_requests: object, context: Context) -> None:
        status = await pipeline.serve(method, _Call(context, method))
        if status.code:
            await context.abort(_CODES[status.code], status.message, status.metadata)

    return grpc.stream_stream_rpc_method_handler(serve)


class _Call:
    """One call, as `tidemill_server.rpc.call.Call`."""

    __slots__ = ("_context", "_has_read", "_max_bytes", "deadline", "metadata", "peer")

    def __init__(self, context: Context, method: Method) -> None:
        self.metadata: Metadata = tuple(context.invocation_metadata() or ())
        self.peer: str = context.peer()  # at the end of a canceled call, it would crash grpcio
        left = context.time_remaining()
        self.deadline: float | None = None
        if left is not None:
            self.deadline = asyncio.get_running_loop().time() + min(left, MAX_SECONDS)
        self._context = context
        self._max_bytes = method.max_bytes
        self._has_read = False

    async def read(self) -> bytes | None:
        message = await self._context.read()
        if message is grpc.aio.EOF:
            if not self._has_read:
                await asyncio.sleep(_CANCELLED_BY_THEN_SECONDS)
            return None
        self._has_read = True
        if len(message) > self._max_bytes:
            raise MessageTooLarge(self._max_bytes)
        return bytes(message)

    async def write(self, message: bytes) -> None:
        try:
            await self._context.write(message)
        except grpc.aio.InternalError as error:  # the call has already ended
            raise asyncio.CancelledError from error
