"""Traces of a real front, from the caller's context to Triton's request."""

from collections.abc import Iterator

import pytest

from tests.integration.server.front import Front, Workspace
from tests.plugins.otlp import Receiver, attributes, receiving
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
METADATA = (("traceparent", f"00-{TRACE}-{CALLER}-01"),)


@pytest.fixture
def traced(workspace: Workspace, triton: RunningTriton) -> Iterator[tuple[Front, Receiver]]:
    """Yield a front that traces calls only if the caller asks for it, and the receiver."""
    with receiving() as (receiver, url):
        environment = {
            "TIDEMILL_TRACING__OTLP_ENDPOINT": url,
            "TIDEMILL_TRACING__SAMPLE": "0",
        }
        with Front(workspace, triton.grpc_address, environment=environment) as front:
            yield front, receiver


def test_a_trace_goes_through_to_triton(traced: tuple[Front, Receiver]) -> None:
    """The caller's context is the parent of the call, and the call that of the Triton call."""
    front, receiver = traced
    request = pb.PredictRequest(task="support", text="refund my order")
    front.predictions.Predict(request, timeout=10)
    front.predictions.Predict(request, timeout=10, metadata=METADATA)
    wait_until(lambda: len(receiver.spans) >= 2, "the spans have come")
    (call,) = receiver.named("PredictionService/Predict")
    (triton,) = receiver.named("triton/ModelInfer")
    assert (call.trace_id.hex(), call.parent_span_id.hex()) == (TRACE, CALLER)
    assert (triton.trace_id, triton.parent_span_id) == (call.trace_id, call.span_id)
    assert attributes(call)["rpc.response.status_code"] == "OK"
    assert attributes(triton)["triton.model"] == "support-onnx"
    assert attributes(triton)["triton.request_id"] == attributes(call)["triton.request_id"]
    assert b"refund" not in b"".join(span.SerializeToString() for span in receiver.spans)
