"""Traces that are sent to a real OTLP/gRPC receiver."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.trace import INVALID_SPAN, Span

from tests.plugins.otlp import Receiver, attributes, receiving
from tests.plugins.triton import free_ports
from tests.unit.server.telemetry.conftest import PREDICT
from tidemill_core.settings import TracingSettings
from tidemill_server.telemetry.tracing import Tracing, end_span, open_tracing, trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
SAMPLED = (("user-agent", "grpc"), ("traceparent", f"00-{TRACE}-{CALLER}-01"))
UNSAMPLED = (("traceparent", f"00-{TRACE}-{CALLER}-00"),)


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, str]]:
    """Yield a receiver and its URL."""
    with receiving() as running:
        yield running


def tracing_to(url: str, sample: float = 0.0) -> Tracing:
    """Return tracing that is on."""
    return open_tracing(TracingSettings(otlp_endpoint=url, sample=sample), "0.1.0", {})


def serve(tracing: Tracing, metadata: Any, code: str = "OK", reason: str = "") -> str:
    """Make one call, and return its trace id."""
    span = tracing.begin(PREDICT, metadata)
    end_span(span, code, reason)
    return trace_id(span)


def test_health_checks_are_not_traced(receiver: tuple[Receiver, str]) -> None:
    """They come each second, so with `sample = 1` they would hide the calls of callers."""
    kept, url = receiver
    tracing = tracing_to(url, sample=1.0)
    assert tracing.begin("Health/Check", SAMPLED) is INVALID_SPAN
    serve(tracing, ())
    tracing.close()
    assert [span.name for span in kept.spans] == [PREDICT]


def test_a_call_is_the_callers_childs_span(receiver: tuple[Receiver, str]) -> None:
    """The caller's W3C context is the span's parent, and the span has the call's status."""
    kept, url = receiver
    tracing = tracing_to(url)
    assert serve(tracing, SAMPLED, "RESOURCE_EXHAUSTED", "OVERLOADED") == TRACE
    tracing.close()
    (span,) = kept.named(PREDICT)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
    assert span.kind == SentSpan.SpanKind.SPAN_KIND_SERVER
    assert span.status.code == Status.StatusCode.STATUS_CODE_ERROR
    assert attributes(span) == {
        "rpc.system.name": "grpc",
        "rpc.method": PREDICT,
        "rpc.response.status_code": "RESOURCE_EXHAUSTED",
        "tidemill.reason": "OVERLOADED",
    }
    assert kept.resources[0]["service.name"] == "tidemill"


def test_the_caller_decides_and_else_the_share(receiver: tuple[Receiver, str]) -> None:
    """A caller's flag overrides the share; without one the share decides."""
    kept, url = receiver
    for sample, metadata in ((1.0, UNSAMPLED), (0.0, ()), (0.0, SAMPLED), (1.0, ())):
        tracing = tracing_to(url, sample)
        serve(tracing, metadata)
        tracing.close()
    sampled, own = kept.named(PREDICT)
    assert sampled.trace_id.hex() == TRACE
    assert own.trace_id.hex() != TRACE
    assert not own.parent_span_id


def test_nonsense_in_the_metadata_is_no_parent(receiver: tuple[Receiver, str]) -> None:
    """An invalid traceparent starts a new trace; bytes are harmless."""
    kept, url = receiver
    tracing = tracing_to(url, 1.0)
    serve(tracing, (("traceparent", "nonsense"), ("key-bin", b"\xff")))
    serve(tracing, (("traceparent", b"\xff\x00"),))
    tracing.close()
    assert [span.parent_span_id for span in kept.named(PREDICT)] == [b"", b""]


async def test_a_triton_call_is_linked_to_its_requests(receiver: tuple[Receiver, str]) -> None:
    """A merged call's span and its requests' spans have the id that Triton gets."""
    kept, url = receiver
    tracing = tracing_to(url, 1.0)
    sent = await _merge(tracing)
    tracing.close()
    (call,) = kept.named("triton/ModelInfer")
    requests = kept.named(PREDICT)
    assert {link.span_id for link in call.links} == {span.span_id for span in requests}
    assert len(call.links) == 2
    first = next(span for span in requests if span.span_id == call.parent_span_id)
    assert call.trace_id == first.trace_id
    assert {attributes(span)["triton.request_id"] for span in (call, *requests)} == {sent}
    assert attributes(call) == {
        "triton.model": "support-onnx",
        "triton.version": 3,
        "triton.rows": 5,
        "triton.request_id": sent,
        "error.type": "TimeoutError",
    }
    assert call.status.code == Status.StatusCode.STATUS_CODE_ERROR
    assert not call.events  # an exception's message may contain a text


async def _merge(tracing: Tracing) -> str:
    """Make two calls in their own tasks, whose texts are merged in a call that fails."""
    spans: list[Span] = [INVALID_SPAN]  # and a third, which is not traced
    served = asyncio.Event()

    async def call(texts: int) -> None:
        span = tracing.begin(PREDICT, ())
        await asyncio.sleep(0)
        spans.extend([span] * texts)
        await served.wait()
        end_span(span, "OK", "")

    async with asyncio.TaskGroup() as calls:
        for texts in (1, 3):
            calls.create_task(call(texts))
        while len(spans) < 5:
            await asyncio.sleep(0)
        with (
            pytest.raises(TimeoutError),
            tracing.triton_span("support-onnx", 3, 5, spans) as request_id,
        ):
            raise TimeoutError("a text")
        served.set()
    return request_id


def test_nothing_is_traced_for_requests_that_are_not(receiver: tuple[Receiver, str]) -> None:
    """A Triton call without a traced request has no span and no id."""
    kept, url = receiver
    tracing = tracing_to(url, 0.0)
    span = tracing.begin(PREDICT, ())
    with tracing.triton_span("support-onnx", 1, 1, [span, INVALID_SPAN]) as request_id:
        assert request_id == ""
    end_span(span, "OK", "")
    tracing.close()
    assert kept.spans == []


def test_a_receiver_that_is_away_costs_nothing_but_spans() -> None:
    """Calls continue, closing takes at most two seconds, and the log reports it once."""
    tracing = tracing_to(f"http://127.0.0.1:{free_ports(1)[0]}", 1.0)
    with structlog.testing.capture_logs() as told:
        start = time.monotonic()
        for _ in range(3000):
            serve(tracing, ())
        assert time.monotonic() - start < 5  # 0.1 s on an idle machine
        tracing.close()
        assert time.monotonic() - start < 15
    assert [line["event"] for line in told] in ([], ["traces_not_exported"])


def test_without_a_receiver_there_is_no_tracing() -> None:
    """By default nothing is traced, whatever the caller's context."""
    tracing = open_tracing(TracingSettings(), "0.1.0", {})
    assert serve(tracing, SAMPLED) == ""
    with tracing.triton_span("support-onnx", 1, 1, [INVALID_SPAN]) as request_id:
        assert request_id == ""
    tracing.close()
