"""Traces by the OpenTelemetry SDK, sent over OTLP/gRPC by a thread of its own.

Spans wait in a queue of bounded length. While the receiver is away they are dropped, and the log
says so once a minute.
"""

import logging
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Self
from urllib.parse import urlsplit

import structlog
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from tidemill_core.errors import ConfigurationError
from tidemill_server.telemetry.tracing import NO_SPAN, Metadata, ServerSpan, TritonSpan

MAX_QUEUED_SPANS = 4096
_EXPORT_INTERVAL_MS = 500
_EXPORT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_COMPLAINT_SECONDS = 60.0
_CARRIED = ("traceparent", "tracestate")

log = structlog.get_logger()

_current: ContextVar[Span | None] = ContextVar("server_span", default=None)


class OtlpTracing:
    """Tracing that is on; see `Tracing`.

    Args:
        endpoint: http or https URL of the receiver.
        sample: share of the calls that are traced, where the caller has not decided.
        version: of Tidemill.

    Raises:
        ConfigurationError: the endpoint is no such URL.
    """

    def __init__(self, endpoint: str, sample: float, version: str) -> None:
        url = urlsplit(endpoint)
        if url.scheme not in ("http", "https") or not url.netloc:
            rule = "must be a URL such as http://localhost:4317"
            raise ConfigurationError(f"tracing.otlp_endpoint is {endpoint!r}: it {rule}")
        # Its warnings come for every export and every span; `_Exporter` says what matters.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = _Exporter(OTLPSpanExporter(endpoint, timeout=_EXPORT_SECONDS))
        resource = Resource.create({"service.name": "tidemill", "service.version": version})
        self._provider = TracerProvider(
            ParentBased(TraceIdRatioBased(sample)), resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(self._exporter, MAX_QUEUED_SPANS, _EXPORT_INTERVAL_MS)
        )
        self._tracer = self._provider.get_tracer("tidemill", version)
        self._propagator = TraceContextTextMapPropagator()

    def server_span(self, method: str, metadata: Metadata) -> ServerSpan:
        """See `Tracing`."""
        carried = {k: v for k, v in metadata if k in _CARRIED and isinstance(v, str)}
        parent = self._propagator.extract(carried) if carried else None
        span = self._tracer.start_span(method, parent, SpanKind.SERVER)
        return _ServerSpan(span, method)

    def current(self) -> Span | None:
        """See `Tracing`."""
        return _current.get()

    def triton_span(
        self, model: str, version: int, rows: int, requests: Sequence[Span | None]
    ) -> TritonSpan:
        """See `Tracing`.

        The span is the first traced request's child, and linked to all of them; each of them
        has the id of Triton's request too.
        """
        # A stream may have many requests in one call.
        traced = list(dict.fromkeys(s for s in requests if s is not None and s.is_recording()))
        if not traced:
            return NO_SPAN
        attributes: dict[str, AttributeValue] = {
            "triton.model": model,
            "triton.version": version,
            "triton.rows": rows,
        }
        span = self._tracer.start_span(
            "triton/ModelInfer",
            set_span_in_context(traced[0]),
            SpanKind.CLIENT,
            attributes,
            [Link(each.get_span_context()) for each in traced],
        )
        request_id = format(span.get_span_context().span_id, "016x")
        for each in (span, *traced):
            each.set_attribute("triton.request_id", request_id)
        return _TritonSpan(span, request_id)

    def close(self) -> None:
        """See `Tracing`."""
        limit = threading.Timer(_CLOSE_SECONDS, self._exporter.shutdown)
        limit.daemon = True
        limit.start()
        self._provider.shutdown()
        limit.cancel()


class _ServerSpan:
    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self.trace_id = format(span.get_span_context().trace_id, "032x")
        if span.is_recording():
            span.set_attributes({"rpc.system.name": "grpc", "rpc.method": method})

    def ended(self, code: str, reason: str) -> None:
        self._span.set_attribute("rpc.response.status_code", code)
        if reason:
            self._span.set_attribute("tidemill.reason", reason)
        if code != "OK":
            self._span.set_status(Status(StatusCode.ERROR))

    def __enter__(self) -> Self:
        # Never reset: every call is a task with a context of its own.
        _current.set(self._span)
        return self

    def __exit__(self, *_: object) -> None:
        self._span.end()


class _TritonSpan:
    def __init__(self, span: Span, request_id: str) -> None:
        self._span = span
        self.request_id = request_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._span.set_attribute("error.type", kind.__name__)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class _Exporter(SpanExporter):
    """Exports through another one, and complains once a minute."""

    def __init__(self, inner: OTLPSpanExporter) -> None:
        self._inner = inner
        self._dropped = 0
        self._complain_at = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._dropped += len(spans)
            self._complain()
        return result

    def shutdown(self) -> None:
        """End the export under way; all that come after it fail at once."""
        self._inner.shutdown()

    def _complain(self) -> None:
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + _COMPLAINT_SECONDS
            log.warning("traces_not_exported", spans=self._dropped)
            self._dropped = 0
