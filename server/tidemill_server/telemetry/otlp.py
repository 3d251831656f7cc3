"""Export of traces by the OpenTelemetry SDK, over OTLP/gRPC, in its own thread.

Spans wait in a bounded queue. While the receiver is away they are dropped, which is logged once a
minute.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence

import structlog
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

MAX_QUEUED_SPANS = 4096
_EXPORT_INTERVAL_MS = 500
_EXPORT_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
_COMPLAINT_SECONDS = 60.0

log = structlog.get_logger()


class Exports:
    """A tracer whose spans are exported.

    Args:
        endpoint: http or https URL of the receiver.
        sample: share of the calls that are traced, unless the caller decides.
        version: Tidemill's version.
        about: more attributes of the resource.
    """

    def __init__(
        self, endpoint: str, sample: float, version: str, about: Mapping[str, str] | None = None
    ) -> None:
        # It warns for every export and every span; `_Exporter` logs once a minute instead.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = _Exporter(OTLPSpanExporter(endpoint, timeout=_EXPORT_SECONDS))
        named = {"service.name": "tidemill", "service.version": version}
        resource = Resource.create({**named, **(about or {})})
        self._provider = TracerProvider(
            ParentBased(TraceIdRatioBased(sample)), resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(self._exporter, MAX_QUEUED_SPANS, _EXPORT_INTERVAL_MS)
        )
        self.tracer = self._provider.get_tracer("tidemill", version)

    def close(self) -> None:
        """Export the remaining spans, blocking for at most two seconds."""
        limit = threading.Timer(_CLOSE_SECONDS, self._exporter.shutdown)
        limit.daemon = True
        limit.start()
        self._provider.shutdown()
        limit.cancel()


class _Exporter(SpanExporter):
    """An exporter that logs the failures of another one once a minute."""

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
        """End the current export; all later ones fail immediately."""
        self._inner.shutdown()

    def _complain(self) -> None:
        now = time.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + _COMPLAINT_SECONDS
            log.warning("traces_not_exported", spans=self._dropped)
            self._dropped = 0
