"""Streams of the Open Inference Protocol: their bad items, slow readers and ends."""

import grpc
from tritonclient.grpc import service_pb2_grpc

from tests.integration.server.front import BOTH_TRANSPORTS, Front
from tests.integration.server.refusal import refusal
from tests.integration.server.test_inference_protocol import request, stub
from tests.integration.server.triton_load import rows, wait_quiet
from tests.plugins.triton import RunningTriton

pytestmark = BOTH_TRANSPORTS
COUNTS = {"h2corn": 4000, "grpcio": 1000}
"""How many answers are more than twice what a server holds for a connection."""


def test_bad_items_of_a_stream_are_answered_and_it_goes_on(front: Front) -> None:
    """An item that is refused gets its own `error_message` in its place."""
    asked = [request(number) for number in range(5)]
    asked[1].model_name = "other-onnx"
    asked[2].inputs[0].name = "nothing"
    asked[3].inputs[0].parameters["shared_memory_region"].string_param = "x"
    answers = list(stub(front).ModelStreamInfer(iter(asked), timeout=10))
    assert [answer.infer_response.id for answer in answers] == [f"n{i}" for i in range(5)]
    assert [answer.error_message for answer in answers] == [
        "",
        "there is no model 'other-onnx'",
        "unexpected inference input 'nothing' for model 'support-onnx'",
        "inputs[0].parameters.shared_memory_region: "
        "shared memory is not available here; send the values themselves",
        "",
    ]


def test_a_slow_reader_is_held_back(front: Front, triton: RunningTriton, transport: str) -> None:
    """Without a reader, calls to Triton soon stop; when it reads, all are answered."""
    count, many = COUNTS[transport], ["my card"] * 100
    fixed_window = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(front.address, fixed_window) as channel:
        slow = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        before = rows(triton)
        stream = slow.ModelStreamInfer((request(i, many) for i in range(count)), timeout=300)
        assert next(stream).infer_response.id == "n0"
        wait_quiet(triton)
        assert rows(triton) - before < count * len(many) / 2
        assert stub(front).ModelInfer(request(), timeout=60).id == "n0"
        assert [answer.infer_response.id for answer in stream] == [f"n{i}" for i in range(1, count)]


def test_a_cancelled_stream_leaves_no_work_behind(front: Front, triton: RunningTriton) -> None:
    """After a caller cancels, Triton gets no more calls, and others are answered."""
    stream = stub(front).ModelStreamInfer(request(number) for number in iter(int, 1))
    for _ in range(100):
        next(stream)
    stream.cancel()
    wait_quiet(triton)
    assert refusal(lambda: next(stream)).code == "CANCELLED"
    assert "unexpected_error" not in front.log()
    assert "never retrieved" not in front.log()
    assert stub(front).ModelInfer(request(), timeout=60).id == "n0"
