"""A receiver of traces, like OpenTelemetry's collector."""

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the received spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 -- grpc's name
        """Receive spans."""
        del context
        for each in request.resource_spans:
            self.resources.append({a.key: a.value.string_value for a in each.resource.attributes})
            self.spans += [span for scope in each.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str) -> list[Span]:
        """Return the spans with a name."""
        return [span for span in self.spans if span.name == name]


@contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    """Run a receiver, and yield it with its URL."""
    with futures.ThreadPoolExecutor(2) as threads:
        server, kept = grpc.server(threads), Receiver()
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(kept, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield kept, f"http://127.0.0.1:{port}"
        finally:
            server.stop(grace=0).wait()


def attributes(span: Span) -> dict[str, str | int]:
    """Return a span's attributes."""
    found = {}
    for each in span.attributes:
        kind = each.value.WhichOneof("value")
        found[each.key] = getattr(each.value, kind or "string_value")
    return found
