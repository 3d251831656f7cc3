"""Records of calls, from which they are counted, traced and logged when they end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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


@dataclass(frozen=True)
class Recorder:
    """The maker of records of calls."""

    metrics: Metrics
    tracing: Tracing
    access_log: AccessLog

    def of(self, path: str) -> Callable[[Any], "CallRecord"]:
        """Return a function that makes the record of a method's call from its context."""
        method = method_label(path)
        return partial(CallRecord, self, method, self.metrics.method(method))


class CallRecord:
    """One call, as a context manager around its handler.

    Attributes:
        method: such as `PredictionService/Predict`.
        peer: the caller's address.
        metadata: the caller's metadata.
        caller: the caller, once known.
        request: the message of a unary call.
        reason: the reason of the error with which it failed.
    """

    __slots__ = (
        *("_context", "_observed", "_recorder", "_seconds_given", "_span", "_start"),
        *("caller", "metadata", "method", "peer", "reason", "request"),
    )

    def __init__(
        self, recorder: Recorder, method: str, observed: MethodMetrics, context: Any
    ) -> None:
        self.method = method
        # At the end of a canceled call, `peer` would crash grpcio.
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
        current_span.set(self._span)  # never reset, because every call has its own context
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
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
        code = self._context.code()  # a StatusCode if the call was aborted, otherwise a number
        return code.name if isinstance(code, grpc.StatusCode) else _NAMES.get(code, "UNKNOWN")


def _is_used_up(given: float | None, seconds: float) -> bool:
    """Return whether a canceled call that ran for `seconds` had used up its `given` time.

    grpcio cancels a call both when its deadline passes and when the caller hangs up. A caller hangs
    up at its deadline by its own clock, which can be earlier than here: gRPC rounds the timeout
    that it sends up by at most 1 %, and the message takes time to arrive.
    """
    return given is not None and seconds > given - 0.01 * (1.0 + given)
