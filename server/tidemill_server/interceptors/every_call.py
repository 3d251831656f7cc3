"""The wrapper around every method of every service.

It handles a call in this order:

1. Calls that arrive while the process drains are refused.
2. The caller must be known, have the method's scope, and keep to its rate.
3. Messages must arrive (a single one in time, before the process drains), be decodable, and
   concern tasks that the caller may use.
4. A `TidemillError` becomes its status. Any other exception is a bug: it is logged, and the caller
   gets INTERNAL without details.
5. An admin action is recorded in the audit trail before its answer is sent.
6. The call is counted, timed, traced and logged.

`grpc.aio` interceptors would look up and wrap a method's handler at each call. This wraps it once,
when the generated code registers it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
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
"""Wait after a half-close without a message. grpcio reports one also for a call that its caller or
its deadline cancels, and the cancellation follows within this time."""

log = structlog.get_logger()

Handlers = Mapping[str, Any]  # grpc.RpcMethodHandler, which is generic only in the stubs
Context = Any


@dataclass(frozen=True)
class EveryCall:
    """A stand-in for `server` to which generated code adds methods, and which wraps them."""

    server: grpc.aio.Server
    gatekeeper: Gatekeeper
    auditor: Auditor
    drain: Drain
    recorder: Recorder

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Do nothing; generated code also registers every method by its name."""

    def add_registered_method_handlers(self, service: str, handlers: Handlers) -> None:
        """Wrap a service's methods and register them with the server, as generic handlers.

        grpc.aio accepts calls of each registered method from a separate queue, and checks all of
        these queues at every call. Generic handlers share one queue.
        """
        wrapped = {
            name: self._wrapped(f"/{service}/{name}", each) for name, each in handlers.items()
        }
        generic = grpc.method_handlers_generic_handler(service, wrapped)
        self.server.add_generic_rpc_handlers((generic,))

    def _wrapped(self, method: str, handler: Any) -> Any:
        decode, encode = tolerant(handler.request_deserializer), handler.response_serializer
        one, many = self._one_message, self._many_messages
        # Methods with one request are registered as taking a stream, too. Otherwise grpcio would
        # read the message before the caller is checked, wait for it without limit, and never
        # answer a caller that half-closes without sending it.
        if handler.request_streaming and handler.response_streaming:
            call = self._streaming(method, handler.stream_stream, many, ends=aiter)
            return grpc.stream_stream_rpc_method_handler(call, decode, encode)
        if handler.request_streaming:
            call = self._unary(method, handler.stream_unary, many)
            return grpc.stream_unary_rpc_method_handler(call, decode, encode)
        if handler.response_streaming:
            ends = self.drain.until_drained
            call = self._streaming(method, handler.unary_stream, one, ends)
            return grpc.stream_stream_rpc_method_handler(call, decode, encode)
        call = self._unary(method, handler.unary_unary, one)
        return grpc.stream_unary_rpc_method_handler(call, decode, encode)

    def _unary(self, method: str, behavior: Any, take: Callable[..., Awaitable[Any]]) -> Any:
        begin = self.recorder.of(method)
        if self.gatekeeper.audited(method):
            behavior = self._audited(method, behavior)

        async def call(requests: Any, context: Context) -> Any:
            with begin(context) as record:
                try:
                    self._open(record, method)
                    request = await take(record, method, requests, context)
                    return await behavior(request, context)
                except Exception as error:
                    await _fail(record, context, error)

        return call

    def _streaming(
        self,
        method: str,
        behavior: Any,
        take: Callable[..., Awaitable[Any]],
        ends: Callable[..., Any],
    ) -> Any:
        """Return a wrapped method that streams answers.

        Args:
            method: its path.
            behavior: the servicer's method.
            take: returns the checked request, or an iterator of checked requests.
            ends: ends the answers when the process drains; answers to a stream of requests end
                with the requests.
        """
        begin = self.recorder.of(method)

        async def call(requests: Any, context: Context) -> AsyncIterator[Any]:
            with begin(context) as record:
                try:
                    self._open(record, method)
                    answers = behavior(await take(record, method, requests, context), context)
                    if isinstance(answers, Awaitable):  # it writes the answers, as Health.Watch
                        await self.drain.run_until_drained(answers)
                        return
                    async with aclosing(answers):  # stops the answers in flight
                        async for response in ends(answers):
                            yield response
                except Exception as error:
                    await _fail(record, context, error)

        return call

    def _open(self, record: CallRecord, method: str) -> None:
        """Admit a call.

        Raises:
            TidemillError: ShuttingDown, or an error of `Gatekeeper.admit`.
        """
        self.drain.check()
        caller = self.gatekeeper.admit(method, record.metadata)
        record.caller = caller
        current_caller.set(caller)

    async def _one_message(
        self, record: CallRecord, method: str, _requests: object, context: Context
    ) -> Any:
        request = await self.drain.in_time(context.read, MESSAGE_SECONDS, MessageNotSent)
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
        async for request in self.drain.until_drained(requests):
            await self.gatekeeper.pace(caller)
            yield self._checked(caller, method, request)

    def _checked(self, caller: Caller, method: str, request: Any) -> Any:
        self.gatekeeper.check_request(caller, method, checked(request))
        return request

    def _audited(self, method: str, behavior: Any) -> Any:
        """Return an admin action that is recorded however it ends.

        It is shielded, so that a caller who hangs up leaves no action unfinished or unrecorded.
        """

        async def act(request: Any, context: Context) -> Any:
            write = partial(
                self.auditor.record, current_caller.get(), method, request, peer=context.peer()
            )
            try:
                response = await behavior(request, context)
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
    """Log an unexpected error of an action whose caller is gone."""
    error = None if acted.cancelled() else acted.exception()
    if error is not None and not isinstance(error, TidemillError):
        log.error("unexpected_error", method=method, exc_info=error)


async def _fail(record: CallRecord, context: Context, error: Exception) -> None:
    """End a call with the status of an error."""
    if isinstance(error, grpc.aio.InternalError):
        # gRPC cannot send because the call has already ended.
        log.warning("not_sent", method=record.method, detail=str(error))
        raise asyncio.CancelledError from error
    if isinstance(error, TidemillError):
        record.reason = error.reason
        await abort(context, error)
    if isinstance(error, (grpc.aio.AbortError, grpc.RpcError)):
        raise error
    log.exception("unexpected_error", method=record.method)
    await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the server's log")
