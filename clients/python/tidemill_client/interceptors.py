"""Interceptors that send metadata with every call of a channel.

The types of gRPC's interceptors are generic, so `Any` stands for them.
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
    """Metadata that is added to every call."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def intercept(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Add the metadata to a call of any kind."""
        details = client_call_details
        return continuation(
            _Details(
                method=details.method,
                timeout=details.timeout,
                metadata=(*(details.metadata or ()), *self._metadata),
                credentials=details.credentials,
                wait_for_ready=details.wait_for_ready,
                compression=details.compression,
            ),
            request,
        )

    intercept_unary_unary: Any = intercept
    intercept_unary_stream: Any = intercept
    intercept_stream_unary: Any = intercept
    intercept_stream_stream: Any = intercept


class _AsyncSender:
    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    async def intercept(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        metadata = grpc.aio.Metadata(*(client_call_details.metadata or ()), *self._metadata)
        return await continuation(client_call_details._replace(metadata=metadata), request)


class _UnaryUnary(_AsyncSender, grpc.aio.UnaryUnaryClientInterceptor):
    intercept_unary_unary: Any = _AsyncSender.intercept


class _UnaryStream(_AsyncSender, grpc.aio.UnaryStreamClientInterceptor):
    intercept_unary_stream: Any = _AsyncSender.intercept


class _StreamUnary(_AsyncSender, grpc.aio.StreamUnaryClientInterceptor):
    intercept_stream_unary: Any = _AsyncSender.intercept


class _StreamStream(_AsyncSender, grpc.aio.StreamStreamClientInterceptor):
    intercept_stream_stream: Any = _AsyncSender.intercept


ASYNC_SENDERS = (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)
"""The interceptors of asyncio's channels, which take one for each kind of call."""
