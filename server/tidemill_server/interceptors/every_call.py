"""What holds for every call of every service, in this order.

1. A call that comes while the process drains is refused.
2. Its caller is known, may call the method, and keeps to its rate.
3. Its messages come (where there is one, in time, and while the process does not drain), can be
   decoded, and are about tasks that the caller may use.
4. A `TidemillError` becomes its status. Anything else is a bug: it is logged, and the caller
   learns INTERNAL and no more.
5. An admin action is written down before its answer is sent.
6. It is counted, timed, traced and logged.

`grpc.aio` interceptors would look up and wrap a method's handler at each call; this wraps it once,
when the generated code registers it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc
import grpc.aio
import structlog

from tidemill_core.domain.access import Caller
from tidemill_core.errors import TidemillError
from tidemill_server.drain import Drain
from tidemill_server.interceptors.decoding import (
    MESSAGE_SECONDS,
    MessageNotSent,
    checked,
    tolerant,
)
from tidemill_server.interceptors.record import CallRecord, Recorder
from tidemill_server.security.acting import current_caller
from tidemill_server.security.audit import Auditor
from tidemill_server.security.gatekeeper import Gatekeeper
from tidemill_server.status import abort, code_of

_CANCELLED_BY_THEN_SECONDS = 0.02
"""To grpcio a call that ends without its message, too, reads as one that was half-closed: what
cancels it, its caller or its deadline, follows so soon."""

log = structlog.get_logger()

Handlers = Mapping[str, Any]  # grpc.RpcMethodHandler, which only the stubs know as generic
Context = Any


class EveryCall:
    """Stands where generated code expects a server, and wraps the methods that it registers.

    Args:
        server: gets the wrapped methods.
        gatekeeper: knows callers and what they may.
        auditor: writes admin actions down.
        drain: says whether new calls are refused.
        recorder: counts, times, traces and logs.
    """

    def __init__(
        self,
        server: grpc.aio.Server,
        gatekeeper: Gatekeeper,
        auditor: Auditor,
        drain: Drain,
        recorder: Recorder,
    ) -> None:
        self._server = server
        self._gatekeeper = gatekeeper
        self._auditor = auditor
        self._drain = drain
        self._recorder = recorder

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Nothing: generated code registers every method by its name as well."""

    def add_registered_method_handlers(self, service: str, handlers: Handlers) -> None:
        """Register a service's methods with the server, wrapped.

        As generic ones: grpc.aio accepts each registered method's calls from a queue of its own,
        and looks at all of those queues at every call. Generic ones share one queue.
        """
        wrapped = {
            name: self._wrapped(f"/{service}/{name}", each) for name, each in handlers.items()
        }
        generic = grpc.method_handlers_generic_handler(service, wrapped)
        self._server.add_generic_rpc_handlers((generic,))

    def _wrapped(self, method: str, handler: Any) -> Any:
        decode, encode = tolerant(handler.request_deserializer), handler.response_serializer
        one, many = self._one_message, self._many_messages
        # Of a method with one request, too, grpcio is told that it takes a stream: otherwise it
        # reads the message before anybody is asked who calls, waits for it as long as the caller
        # likes, and never answers one that half-closes without it.
        if handler.request_streaming and handler.response_streaming:
            call = self._streaming(method, handler.stream_stream, many, ends=aiter)
            return grpc.stream_stream_rpc_method_handler(call, decode, encode)
        if handler.request_streaming:
            call = self._unary(method, handler.stream_unary, many)
            return grpc.stream_unary_rpc_method_handler(call, decode, encode)
        if handler.response_streaming:
            ends = self._drain.until_drained
            call = self._streaming(method, handler.unary_stream, one, ends)
            return grpc.stream_stream_rpc_method_handler(call, decode, encode)
        call = self._unary(method, handler.unary_unary, one)
        return grpc.stream_unary_rpc_method_handler(call, decode, encode)

    def _unary(self, method: str, behaviour: Any, take: Callable[..., Awaitable[Any]]) -> Any:
        begin = self._recorder.of(method)
        if self._gatekeeper.audited(method):
            behaviour = self._audited(method, behaviour)

        async def call(requests: Any, context: Context) -> Any:
            with begin(context) as record:
                try:
                    self._open(record, method)
                    request = await take(record, method, requests, context)
                    return await behaviour(request, context)
                except Exception as error:
                    await _fail(record, context, error)

        return call

    def _streaming(
        self,
        method: str,
        behaviour: Any,
        take: Callable[..., Awaitable[Any]],
        ends: Callable[..., Any],
    ) -> Any:
        """A method that streams answers.

        Args:
            method: its path.
            behaviour: the servicer's.
            take: reads its request, or gives its stream of them, and lets each pass or not.
            ends: ends its answers when the process drains; those to a stream of requests end
                when the requests do.
        """
        begin = self._recorder.of(method)

        async def call(requests: Any, context: Context) -> AsyncIterator[Any]:
            with begin(context) as record:
                try:
                    self._open(record, method)
                    answers = behaviour(await take(record, method, requests, context), context)
                    if isinstance(answers, Awaitable):  # it writes itself, as Health.Watch
                        await self._drain.run_until_drained(answers)
                        return
                    async with aclosing(answers):  # or else what it began would go on
                        async for response in ends(answers):
                            yield response
                except Exception as error:
                    await _fail(record, context, error)

        return call

    def _open(self, record: CallRecord, method: str) -> None:
        """Let a call begin.

        Raises:
            TidemillError: ShuttingDown, or what `Gatekeeper.admit` raises.
        """
        self._drain.check()
        caller = self._gatekeeper.admit(method, record.metadata)
        record.caller = caller
        current_caller.set(caller)

    async def _one_message(
        self, record: CallRecord, method: str, _requests: object, context: Context
    ) -> Any:
        request = await self._drain.in_time(context.read, MESSAGE_SECONDS, MessageNotSent)
        record.request = request
        if request is grpc.aio.EOF:
            await asyncio.sleep(_CANCELLED_BY_THEN_SECONDS)
        return self._checked(record.caller, method, request)

    async def _many_messages(
        self, record: CallRecord, method: str, requests: AsyncIterator[Any], _context: Context
    ) -> AsyncIterator[Any]:
        return self._each_message(record.caller, method, requests)

    async def _each_message(
        self, caller: Caller, method: str, requests: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        async for request in self._drain.until_drained(requests):
            await self._gatekeeper.pace(caller)
            yield self._checked(caller, method, request)

    def _checked(self, caller: Caller, method: str, request: Any) -> Any:
        self._gatekeeper.check_request(caller, method, checked(request))
        return request

    def _audited(self, method: str, behaviour: Any) -> Any:
        """An admin action, which is written down however it ends.

        It is shielded: a caller that hangs up must not leave an action half-done, or unwritten.
        """

        async def act(request: Any, context: Context) -> Any:
            write = partial(
                self._auditor.record, current_caller.get(), method, request, peer=context.peer()
            )
            try:
                response = await behaviour(request, context)
            except Exception as error:
                await write(code=code_of(error).name, reason=getattr(error, "reason", ""))
                raise
            await write(code=grpc.StatusCode.OK.name, reason="")
            return response

        async def act_to_the_end(request: Any, context: Context) -> Any:
            acting = asyncio.create_task(act(request, context))
            try:
                return await asyncio.shield(acting)
            except asyncio.CancelledError:
                acting.add_done_callback(partial(_note_end, method))
                raise

        return act_to_the_end


def _note_end(method: str, acted: "asyncio.Task[Any]") -> None:
    """Hear how an action ended whose caller is gone."""
    error = None if acted.cancelled() else acted.exception()
    if error is not None and not isinstance(error, TidemillError):
        log.error("unexpected_error", method=method, exc_info=error)


async def _fail(record: CallRecord, context: Context, error: Exception) -> None:
    """End a call with the status of an error."""
    if isinstance(error, grpc.aio.InternalError):
        # gRPC refuses to send: the call has ended already, and nobody is left to tell.
        log.warning("not_sent", method=record.method, detail=str(error))
        raise asyncio.CancelledError from error
    if isinstance(error, TidemillError):
        record.reason = error.reason
        await abort(context, error)
    if isinstance(error, (grpc.aio.AbortError, grpc.RpcError)):
        raise error
    log.exception("unexpected_error", method=record.method)
    await context.abort(grpc.StatusCode.INTERNAL, "an error that should not happen; see the log")
