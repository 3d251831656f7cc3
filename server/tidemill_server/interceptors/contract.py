"""Errors as the contract promises them, for every method of every service.

- A message that cannot be decoded (text that is not UTF-8, say) is INVALID_ARGUMENT with the
  reason MALFORMED_MESSAGE. Left alone, grpcio answers UNKNOWN before a servicer sees the call.
- A `TidemillError` that a servicer raises becomes its status.
- Anything else is a bug: it is logged, and the caller learns INTERNAL and no more.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import structlog

from tidemill_core.errors import InvalidArgument, TidemillError
from tidemill_server.status import abort

log = structlog.get_logger()

_Handler = Any  # grpc.RpcMethodHandler, which only the stubs know as generic


class _Malformed:
    """Stands in for a message that cannot be decoded."""


_MALFORMED = _Malformed()


class ContractInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of all methods."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        """Wrap one call's handler."""
        handler = await continuation(handler_call_details)
        if handler is None:  # no such method: grpcio answers UNIMPLEMENTED
            return handler
        method = handler_call_details.method
        decode = _tolerant(handler.request_deserializer)
        encode = handler.response_serializer
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                _streaming(method, handler.stream_stream, _checked), decode, encode
            )
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(
                _unary(method, handler.stream_unary, _checked), decode, encode
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                _streaming(method, handler.unary_stream, _check), decode, encode
            )
        return grpc.unary_unary_rpc_method_handler(
            _unary(method, handler.unary_unary, _check), decode, encode
        )


def _tolerant(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    def decode_or_mark(message: bytes) -> Any:
        try:
            return message if decode is None else decode(message)
        except Exception:  # protobuf's DecodeError, and what else a decoder comes up with
            return _MALFORMED

    return decode_or_mark


def _check(request: Any) -> Any:
    if request is _MALFORMED:
        rule = "cannot be decoded: text must be UTF-8, and the message of the method's type"
        raise InvalidArgument("MALFORMED_MESSAGE", "message", rule)
    return request


async def _checked(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _check(request)


def _unary(method: str, behaviour: Any, check: Callable[[Any], Any]) -> Any:
    async def call(request: Any, context: Any) -> Any:
        async with _mapped(method, context):
            return await behaviour(check(request), context)

    return call


def _streaming(method: str, behaviour: Any, check: Callable[[Any], Any]) -> Any:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        async with _mapped(method, context):
            answers = behaviour(check(request), context)
            if isinstance(answers, Awaitable):  # it writes its responses itself, as Health.Watch
                await answers
                return
            async for response in answers:
                yield response

    return call


@asynccontextmanager
async def _mapped(method: str, context: Any) -> AsyncIterator[None]:
    try:
        yield
    except TidemillError as error:
        await abort(context, error)
    except (grpc.aio.AbortError, grpc.RpcError):
        raise
    except Exception:
        log.exception("unexpected_error", method=method)
        await context.abort(
            grpc.StatusCode.INTERNAL, "an error that should not happen; see the log"
        )
