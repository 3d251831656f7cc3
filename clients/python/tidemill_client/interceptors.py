"""Metadata that goes with every call of a channel.

gRPC's interceptors are generic in ways that a signature here could only repeat: hence `Any`.
"""

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Details(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class SendMetadata(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds to the metadata of every call."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Add to one call's."""
        return continuation(self._added(client_call_details), request)

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Add to one call's."""
        return continuation(self._added(client_call_details), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Add to one call's."""
        return continuation(self._added(client_call_details), request_iterator)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Add to one call's."""
        return continuation(self._added(client_call_details), request_iterator)

    def _added(self, details: Any) -> _Details:
        return _Details(
            method=details.method,
            timeout=details.timeout,
            metadata=(*(details.metadata or ()), *self._metadata),
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
            compression=details.compression,
        )


class _AsyncSender:
    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def _added(self, details: Any) -> Any:
        metadata = grpc.aio.Metadata(*(details.metadata or ()), *self._metadata)
        return details._replace(metadata=metadata)


class _UnaryUnary(_AsyncSender, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self._added(client_call_details), request)


class _UnaryStream(_AsyncSender, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        return await continuation(self._added(client_call_details), request)


class _StreamUnary(_AsyncSender, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._added(client_call_details), request_iterator)


class _StreamStream(_AsyncSender, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await continuation(self._added(client_call_details), request_iterator)


ASYNC_SENDERS = (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)
"""As `SendMetadata`, for asyncio's channels, which take one object a kind of call."""
