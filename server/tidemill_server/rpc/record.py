"""Records of calls, from which they are counted, traced and logged when they end."""

import asyncio
from dataclasses import dataclass
from typing import Any

from google.rpc import code_pb2

from tidemill_core.domain.access import NOBODY
from tidemill_server.rpc.call import Call
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.status import CODE_NAMES
from tidemill_server.telemetry.access_log import AccessLog
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.tracing import Tracing, current_span, end_span, trace_id

_REFUSED = (code_pb2.UNAUTHENTICATED, code_pb2.PERMISSION_DENIED)


@dataclass(frozen=True)
class Recorder:
    """What keeps records of calls."""

    metrics: Metrics
    tracing: Tracing
    access_log: AccessLog


class CallRecord:
    """One call, from its arrival to `end`.

    Attributes:
        caller: the caller, once known.
        request: the message of a call with one request.
        reason: the reason of the error with which it failed.
    """

    __slots__ = (
        *("_begin", "_call", "_method", "_observed", "_recorder", "_span"),
        *("caller", "reason", "request"),
    )

    def __init__(self, recorder: Recorder, method: Method, call: Call, now: float) -> None:
        self.caller = NOBODY
        self.request: Any = None
        self.reason = ""
        self._recorder = recorder
        self._method = method.label
        self._call = call
        self._begin = now
        self._span = recorder.tracing.begin(method.label, call.metadata)
        current_span.set(self._span)  # never reset, because every call has its own context
        self._observed = recorder.metrics.method(method.label)
        self._observed.in_flight.inc()

    def end(self, code: int) -> None:
        """Count, trace and log the call."""
        name, recorder, span = CODE_NAMES[code], self._recorder, self._span
        seconds = asyncio.get_running_loop().time() - self._begin
        end_span(span, name, self.reason)
        self._observed.in_flight.dec()
        self._observed.seconds.observe(seconds)
        recorder.metrics.ended(self._method, name, self.reason).inc()
        if code in _REFUSED:
            recorder.metrics.auth_failed(self.reason).inc()
        recorder.access_log.write(
            self._method,
            name,
            self.reason,
            seconds,
            task=getattr(self.request, "task", ""),
            caller=self.caller.name,
            peer=self._call.peer,
            request_id=getattr(self.request, "request_id", ""),
            trace_id=trace_id(span),
        )

    def end_shed(self, prediction_method: str, code: int) -> None:
        """Count, trace and log a prediction that is refused before its task is known."""
        self._recorder.metrics.prediction_failed(prediction_method, "", self.reason).inc()
        self._recorder.metrics.shed("", self.reason).inc()
        self.end(code)

    def end_cancelled(self) -> None:
        """Count, trace and log a call whose caller cancelled it, hung up or gave up.

        A caller gives up at its deadline by its own clock, which can be earlier than here: gRPC
        rounds the timeout that it sends up by at most 1 %, and the message takes time to arrive.
        """
        deadline, now = self._call.deadline, asyncio.get_running_loop().time()
        is_late = deadline is not None and now > deadline - 0.01 * (1.0 + deadline - self._begin)
        self.end(code_pb2.DEADLINE_EXCEEDED if is_late else code_pb2.CANCELLED)
