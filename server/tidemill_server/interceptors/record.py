"""What is known of a call while it runs, and told when it ends."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import grpc

from tidemill_core.domain.access import NOBODY
from tidemill_server.telemetry.access_log import AccessLog
from tidemill_server.telemetry.labels import method_label
from tidemill_server.telemetry.metrics import MethodMetrics, Metrics
from tidemill_server.telemetry.tracing import (
    Metadata,
    Tracing,
    current_span,
    end_span,
    trace_id,
)

_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_REFUSED = (grpc.StatusCode.UNAUTHENTICATED.name, grpc.StatusCode.PERMISSION_DENIED.name)


class Recorder:
    """Makes the records of calls.

    Args:
        metrics: count and time them.
        tracing: traces them.
        access_log: gets a line of each.
    """

    def __init__(self, metrics: Metrics, tracing: Tracing, access_log: AccessLog) -> None:
        self.metrics = metrics
        self.tracing = tracing
        self.access_log = access_log

    def of(self, path: str) -> Callable[[Any], "CallRecord"]:
        """What makes the records of a method's calls from their contexts."""
        method = method_label(path)
        observed = self.metrics.method(method)

        def begin(context: Any) -> CallRecord:
            return CallRecord(self, method, observed, context)

        return begin


class CallRecord:
    """One call: a context manager round its handler.

    Attributes:
        method: `PredictionService/Predict`.
        peer: the address that it comes from.
        metadata: that its caller sent along.
        caller: who calls, once that is known.
        request: the message of a unary call.
        reason: of the error that it failed with.
    """

    __slots__ = (
        *("_context", "_observed", "_recorder", "_seconds_given", "_span", "_start"),
        *("caller", "metadata", "method", "peer", "reason", "request"),
    )

    def __init__(
        self, recorder: Recorder, method: str, observed: MethodMetrics, context: Any
    ) -> None:
        self.method = method
        # At the end of a cancelled call, asking would crash grpcio.
        self.peer: str = context.peer()
        self.metadata: Metadata = context.invocation_metadata() or ()
        self._seconds_given: float | None = context.time_remaining()
        self.caller = NOBODY
        self.request: Any = None
        self.reason = ""
        self._recorder = recorder
        self._observed = observed
        self._context = context
        self._span = recorder.tracing.begin(method, self.metadata)
        self._start = time.perf_counter()

    def __enter__(self) -> "CallRecord":
        self._observed.in_flight.inc()
        current_span.set(self._span)  # never reset: every call is a task with its own context
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seconds = time.perf_counter() - self._start
        code = self._code_of(error, seconds)
        end_span(self._span, code, self.reason)
        self._observed.in_flight.dec()
        self._observed.seconds.observe(seconds)
        metrics = self._recorder.metrics
        metrics.ended(self.method, code, self.reason).inc()
        if code in _REFUSED:
            metrics.auth_failed(self.reason).inc()
        self._recorder.access_log.write(
            self.method,
            code,
            self.reason,
            seconds,
            task=getattr(self.request, "task", ""),
            caller=self.caller.name,
            peer=self.peer,
            request_id=getattr(self.request, "request_id", ""),
            trace_id=trace_id(self._span),
        )

    def _code_of(self, error: BaseException | None, seconds: float) -> str:
        if error is None:
            return grpc.StatusCode.OK.name
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            is_late = _is_used_up(self._seconds_given, seconds)
            code = grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED
            return code.name
        code = self._context.code()  # of a call that was aborted a StatusCode, or else its number
        return code.name if isinstance(code, grpc.StatusCode) else _NAMES.get(code, "UNKNOWN")


def _is_used_up(given: float | None, seconds: float) -> bool:
    """Whether a call that was cancelled after so many seconds had used up what it was given.

    grpcio tells that only by cancelling, as where the caller hangs up. A caller whose deadline has
    passed hangs up too, by its own clock: gRPC rounds the time that it announces up, by a hundredth
    at most, and the announcement took its time on the way.
    """
    return given is not None and seconds > given - 0.01 * (1.0 + given)
