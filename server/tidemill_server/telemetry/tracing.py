"""Traces: a span per call, and a span per call to Triton.

Tracing is off by default. Then the spans are OpenTelemetry's no-op spans, and its SDK is not
imported.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    NoOpTracer,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tidemill_core.domain.prediction import Prediction
from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_core.settings import TaskSettings, TracingSettings

if TYPE_CHECKING:  # part of the extra [phoenix]
    from tidemill_server.telemetry.openinference import OpenInference

Metadata = Iterable[tuple[str, str | bytes]]
"""A call's metadata in gRPC's form."""

_UNTRACED = "Health/"
"""Health checks come each second, and would hide the calls of callers."""
_CARRIED = ("traceparent", "tracestate")

current_span: ContextVar[Span] = ContextVar("current_span", default=INVALID_SPAN)
"""The span of the current call, for `Tracing.triton_span`."""


class Tracing:
    """The source of spans. It never raises, waits or makes a call fail.

    Args:
        tracer: makes the spans; None traces nothing.
        close: exports the remaining spans, blocking for at most two seconds.
        openinference: describes spans for Phoenix; None does not.
    """

    def __init__(
        self,
        tracer: Tracer | None = None,
        close: Callable[[], None] = lambda: None,
        openinference: "OpenInference | None" = None,
    ) -> None:
        self._openinference = openinference
        self._is_on = tracer is not None
        self._tracer = tracer or NoOpTracer()
        self._propagator = TraceContextTextMapPropagator()
        self.close = close

    def begin(self, method: str, metadata: Metadata) -> Span:
        """Begin the span of a call.

        Args:
            method: such as `PredictionService/Predict`.
            metadata: the call's metadata; a W3C `traceparent` in it is the span's parent and
                decides whether the call is traced.
        """
        if not self._is_on or method.startswith(_UNTRACED):
            return INVALID_SPAN
        carried = {k: v for k, v in metadata if k in _CARRIED and isinstance(v, str)}
        parent = self._propagator.extract(carried) if carried else None
        span = self._tracer.start_span(method, parent, SpanKind.SERVER)
        if span.is_recording():
            span.set_attributes({"rpc.system.name": "grpc", "rpc.method": method})
            if self._openinference is not None:
                self._openinference.describe_call(span)
        return span

    def describe_prediction(self, text: str, prediction: Prediction) -> None:
        """Describe the answer to a call with one text on the call's span, for Phoenix."""
        if self._openinference is not None and (span := current_span.get()).is_recording():
            self._openinference.describe_prediction(span, text, prediction)

    @contextmanager
    def triton_span(
        self, model: str, version: int, rows: int, requests: Sequence[Span]
    ) -> Iterator[str]:
        """Trace the Triton call in the block, if any of its requests is traced.

        The span is the child of the first traced request, and linked to all of them. For an
        exception it records only the type, because the message may contain a text.

        Args:
            model: `<task>-<format>`.
            version: the model's version.
            rows: texts in the call.
            requests: the spans of the requests that are merged in the call.

        Yields:
            The `ModelInferRequest.id`, which each request's span also has; empty without a span.
        """
        # A stream may have many requests in one call.
        traced = list(dict.fromkeys(span for span in requests if span.is_recording()))
        if not traced:
            yield ""
            return
        span = self._tracer.start_span(
            "triton/ModelInfer",
            set_span_in_context(traced[0]),
            SpanKind.CLIENT,
            {"triton.model": model, "triton.version": version, "triton.rows": rows},
            [Link(each.get_span_context()) for each in traced],
        )
        if self._openinference is not None:
            self._openinference.describe_triton_call(span, model)
        request_id = format_span_id(span.get_span_context().span_id)
        for each in (span, *traced):
            each.set_attribute("triton.request_id", request_id)
        try:
            yield request_id
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()


def end_span(span: Span, code: str, reason: str) -> None:
    """End a call's span with the name of its gRPC status, and an error's reason."""
    if span.is_recording():
        span.set_attribute("rpc.response.status_code", code)
        if reason:
            span.set_attribute("tidemill.reason", reason)
        if code != "OK":
            span.set_status(Status(StatusCode.ERROR))
    span.end()


def trace_id(span: Span) -> str:
    """Return a span's trace id as 32 hexadecimal digits; empty if tracing is off."""
    return "" if span is INVALID_SPAN else format_trace_id(span.get_span_context().trace_id)


def open_tracing(
    settings: TracingSettings, version: str, tasks: Mapping[str, TaskSettings]
) -> Tracing:
    """Open tracing; without an endpoint in `settings` nothing is traced.

    Raises:
        ConfigurationError: a package is missing.
    """
    if not settings.otlp_endpoint:
        return Tracing()
    # Imported here, because it costs memory and start-up time.
    from tidemill_server.telemetry.otlp import Exports

    if not settings.openinference:
        exports = Exports(settings.otlp_endpoint, settings.sample, version)
        return Tracing(exports.tracer, exports.close)
    try:
        from tidemill_server.telemetry.openinference import RESOURCE, OpenInference
    except ImportError as error:
        missing = "tracing.openinference needs openinference-semantic-conventions"
        raise ConfigurationError(f"{missing}: {installation('phoenix')}") from error
    exports = Exports(settings.otlp_endpoint, settings.sample, version, RESOURCE)
    described = OpenInference(tasks, send_texts=settings.send_texts)
    return Tracing(exports.tracer, exports.close, described)
