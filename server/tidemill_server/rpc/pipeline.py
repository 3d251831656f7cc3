"""What holds for every call of every method.

It handles a call in this order:

1. Calls that arrive while the process drains are refused, and calls of Predict while it cannot
   begin all calls that arrive (`backlog`).
2. The caller must be known, have the method's scope, and keep to its rate. The caller of a stream
   is checked again while it is open.
3. Messages must arrive (a single one in time, before the process drains), be decodable, and
   concern tasks that the caller may use.
4. The handler runs until it answers, its caller hangs up, or the caller's deadline passes.
5. A `TidemillError` becomes its status. Any other exception is a bug: it is logged, and the caller
   gets INTERNAL without details.
6. An admin action is recorded in the audit trail before its answer is sent.
7. The call is counted, timed, traced and logged.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from tidemill_core.errors import TidemillError
from tidemill_server.inference.admission import Overloaded
from tidemill_server.inference.query import UNARY_METHOD
from tidemill_server.rpc.backlog import Backlog
from tidemill_server.rpc.call import Call
from tidemill_server.rpc.decoding import MESSAGE_SECONDS, MalformedMessage, decoded
from tidemill_server.rpc.drain import Drain, Wait
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.record import CallRecord, Recorder
from tidemill_server.rpc.status import CODE_NAMES, OK, UNEXPECTED, Status, code_of, failure
from tidemill_server.rpc.timer import Timer
from tidemill_server.rpc.watches import Watches
from tidemill_server.security.acting import current_caller
from tidemill_server.security.audit import Auditor
from tidemill_server.security.gatekeeper import Gatekeeper
from tidemill_server.security.open_streams import OpenStreams

PREDICT = "/tidemill.v1.PredictionService/Predict"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
"""Each connection of a client with health checking keeps one open. It asks no database."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Pipeline:
    """The handling that every call shares."""

    gatekeeper: Gatekeeper
    auditor: Auditor
    drain: Drain
    open_streams: OpenStreams
    recorder: Recorder
    backlog: Backlog
    watches: Watches = field(default_factory=Watches)

    async def serve(self, method: Method, call: Call) -> Status:
        """Serve a call, and return its end, which the transport sends.

        Raises:
            CancelledError: the caller cancelled the call or hung up.
        """
        now = asyncio.get_running_loop().time()
        record = CallRecord(self.recorder, method, call, now)
        is_long = self.backlog.begin(now) and not self.drain.draining
        if is_long and (refused := self._refused(method, call, record, now)):
            return refused
        is_short = not (method.takes_many or method.returns_many)  # streams stay open for long
        self.backlog.in_flight += is_short
        wait = Wait()
        timer = Timer(wait, now, call.deadline, None if method.takes_many else MESSAGE_SECONDS)
        try:
            await self._answer(method, call, record, wait, timer)
            status = OK
        except TidemillError as error:
            status = self._failed(record, call, error)
        except asyncio.CancelledError:
            own = wait.error()
            if own is None:
                record.end_cancelled()
                raise
            status = self._failed(record, call, own)
        except Exception:
            log.exception("unexpected_error", method=method.label)
            status = UNEXPECTED
        finally:
            timer.stop()
            self.backlog.in_flight -= is_short
            self.open_streams.discard(wait)
        record.end(status.code)
        return status

    def _refused(self, method: Method, call: Call, record: CallRecord, now: float) -> Status | None:
        """Return the end of a call that is refused without any work; None if it is not."""
        caller = self.gatekeeper.remembered_caller(call.metadata)
        if method.path != PREDICT or caller is None:
            return None
        status = self.backlog.refusal(caller.caller_id, now, call.deadline)
        if status is not None:
            record.caller, record.reason = caller, Overloaded.reason
            record.end_shed(UNARY_METHOD, status.code)
        return status

    async def _answer(
        self, method: Method, call: Call, record: CallRecord, wait: Wait, timer: Timer
    ) -> None:
        self.drain.check()
        caller = record.caller = await self.gatekeeper.admit(method.path, call.metadata)
        current_caller.set(caller)
        if method.takes_many or method.returns_many:
            self.open_streams.add(wait, method.path, call.metadata)
        if method.takes_many:
            request: Any = self._requests(method, call, record)
        else:
            request = await self._request(method, call, record, wait)
            timer.message_arrived()
        if method.returns_many:
            await self._stream(method, call, request)
        elif self.gatekeeper.audited(method.path):
            await call.write(_encoded(await self._act(method, call, request)))
        else:
            await call.write(_encoded(await method.behavior(request, call)))

    async def _request(self, method: Method, call: Call, record: CallRecord, wait: Wait) -> Any:
        self.drain.waits.add(wait)
        try:
            message = await call.read()
        finally:
            self.drain.waits.discard(wait)
        if message is None:
            rule = "is missing; the method takes one, but the call was half-closed without it"
            raise MalformedMessage(rule)
        request = record.request = decoded(method.request, message)
        self.gatekeeper.check_request(record.caller, method.path, request)
        return request

    async def _requests(self, method: Method, call: Call, record: CallRecord) -> AsyncIterator[Any]:
        async for message in self.drain.until_drained(_messages(call)):
            await self.gatekeeper.pace(record.caller)
            request = decoded(method.request, message)
            self.gatekeeper.check_request(record.caller, method.path, request)
            yield request

    async def _stream(self, method: Method, call: Call, request: Any) -> None:
        """Send answers; the drain ends those to one request, others end with the requests."""
        answers = method.behavior(request, call)
        until = answers if method.takes_many else self.drain.until_drained(answers)
        if method.takes_many or method.path == HEALTH_WATCH:
            await _send(call, answers, until)
            return
        self.watches.check(method.path)
        with self.watches.counted(method.path):
            await _send(call, answers, until)

    async def _act(self, method: Method, call: Call, request: Any) -> Any:
        """Return the answer of an admin action, which is recorded however it ends.

        It is shielded, so that a caller who hangs up leaves no action unfinished or unrecorded.
        """
        acting = asyncio.create_task(self._act_and_record(method, call, request))
        try:
            return await asyncio.shield(acting)
        except asyncio.CancelledError:
            acting.add_done_callback(partial(_note_end, method.label))
            raise

    async def _act_and_record(self, method: Method, call: Call, request: Any) -> Any:
        caller, seen = current_caller.get(), [] if method.takes_many else [request]
        if method.takes_many:
            request = _noted(request, seen)
        write = partial(self.auditor.record, caller, method.path, peer=call.peer)
        try:
            response = await method.behavior(request, call)
        except Exception as error:
            reason = getattr(error, "reason", "")
            await write(next(iter(seen), None), code=CODE_NAMES[code_of(error)], reason=reason)
            raise
        await write(next(iter(seen), None), code=CODE_NAMES[OK.code], reason="")
        return response

    def _failed(self, record: CallRecord, call: Call, error: TidemillError) -> Status:
        record.reason = error.reason
        left = None if call.deadline is None else call.deadline - asyncio.get_running_loop().time()
        return failure(error, left)


async def _send(call: Call, answers: AsyncGenerator[Any], until: AsyncIterator[Any]) -> None:
    """Send answers until they end, and then stop those in flight."""
    async with aclosing(answers):
        async for answer in until:
            await call.write(_encoded(answer))


def _encoded(answer: Any) -> bytes:
    return answer if type(answer) is bytes else answer.SerializeToString()


async def _noted(requests: AsyncIterator[Any], seen: list[Any]) -> AsyncIterator[Any]:
    """Yield a stream's requests, and add the first one to `seen`."""
    async for request in requests:
        if not seen:
            seen.append(request)
        yield request


async def _messages(call: Call) -> AsyncIterator[bytes]:
    while (message := await call.read()) is not None:
        yield message


def _note_end(method: str, acted: "asyncio.Task[Any]") -> None:
    """Log an unexpected error of an action whose caller is gone."""
    error = None if acted.cancelled() else acted.exception()
    if error is not None and not isinstance(error, TidemillError):
        log.error("unexpected_error", method=method, exc_info=error)
