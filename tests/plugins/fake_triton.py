"""A fake Triton that misbehaves on request: a real gRPC server without models.

>>> with FakeTriton() as triton:
...     triton.behave("support-onnx", 1, no_answer)
"""

import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, Self

import grpc
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.triton.tensors import OUTPUT_NAME

LABEL_COUNT = 4
_SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_THREADS = 64
_FOR_EVER = 60.0

Ids = npt.NDArray[np.int32]
Context = Any
Behavior = Callable[[Ids, Context], bytes]
"""Answers int32 [rows, length] with the bytes of a ModelInferResponse."""


class FakeTriton:
    """A fake Triton that serves during the block.

    Args:
        control_key: the key of its model control.

    Attributes:
        address: `host:port`.
        calls: model, version and rows of each ModelInfer call so far.
    """

    def __init__(self, control_key: str = "") -> None:
        self._control_key = control_key
        self._server = grpc.server(futures.ThreadPoolExecutor(_THREADS))
        self._server.add_generic_rpc_handlers((_handlers(self),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self.calls: list[tuple[str, int, int]] = []
        self._behaviors: dict[tuple[str, int], Behavior] = {}

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()

    def behave(self, model: str, version: int, behavior: Behavior) -> None:
        """Make a version answer in this way; the others are healthy."""
        self._behaviors[model, version] = behavior

    def infer(self, request: pb.ModelInferRequest, context: Context) -> bytes:
        """Answer ModelInfer."""
        shape = tuple(request.inputs[0].shape)
        ids = np.frombuffer(request.raw_input_contents[0], "<i4").reshape(shape)
        model, version = request.model_name, int(request.model_version or 1)
        self.calls.append((model, version, len(ids)))
        return self._behaviors.get((model, version), healthy)(ids, context)

    def index(self, _request: bytes, context: Context) -> bytes:
        """Answer RepositoryIndex: no models."""
        if self._control_key not in dict(context.invocation_metadata()).values():
            words = "This protocol is restricted, expecting header 'tidemill-control-key'"
            context.abort(grpc.StatusCode.UNAVAILABLE, words)
        return b""


def label_of(row: Ids) -> int:
    """Return the label that a healthy version gives a row; each word contributes to it."""
    return int(row.sum()) % LABEL_COUNT


def healthy(ids: Ids, _context: Context) -> bytes:
    """Answer 0.7 for the right label."""
    return _message(_answers(ids))


def slow(seconds: float) -> Behavior:
    """Answer correctly after a delay, or when the caller no longer waits."""

    def behavior(ids: Ids, context: Context) -> bytes:
        over = threading.Event()
        if context.add_callback(over.set):  # otherwise the call has ended already
            over.wait(seconds)
        return healthy(ids, context)

    return behavior


def no_answer(ids: Ids, context: Context) -> bytes:
    """Answer never."""
    return slow(_FOR_EVER)(ids, context)


def fails(code: grpc.StatusCode, words: str) -> Behavior:
    """Answer with an error."""

    def behavior(_ids: Ids, context: Context) -> bytes:
        context.abort(code, words)
        raise AssertionError  # abort raises

    return behavior


def undecodable(_ids: Ids, _context: Context) -> bytes:
    """Answer with bytes that are no message."""
    return b"\xff\xff\xff\xff"


def no_contents(ids: Ids, _context: Context) -> bytes:
    """Answer with an output without its bytes."""
    response = _response(_answers(ids))
    response.ClearField("raw_output_contents")
    return bytes(response.SerializeToString())


def odd_size(ids: Ids, _context: Context) -> bytes:
    """Answer with a byte too few."""
    response = _response(_answers(ids))
    response.raw_output_contents[0] = response.raw_output_contents[0][:-1]
    return bytes(response.SerializeToString())


def wrong_width(ids: Ids, _context: Context) -> bytes:
    """Answer with one label too many."""
    wide = np.full((len(ids), LABEL_COUNT + 1), 1 / (LABEL_COUNT + 1), np.float32)
    return _message(wide)


def too_few_rows(ids: Ids, _context: Context) -> bytes:
    """Answer with one row too few."""
    return _message(_answers(ids)[1:])


def filled_with(value: float) -> Behavior:
    """Return answers with values that are not probabilities."""

    def behavior(ids: Ids, _context: Context) -> bytes:
        values = np.full((len(ids), LABEL_COUNT), value, np.float32)
        return _message(values)

    return behavior


def _answers(ids: Ids) -> npt.NDArray[np.float32]:
    values = np.full((len(ids), LABEL_COUNT), 0.1, np.float32)
    values[np.arange(len(ids)), [label_of(row) for row in ids]] = 0.7
    return values


def _message(values: npt.NDArray[np.float32]) -> bytes:
    return bytes(_response(values).SerializeToString())


def _response(values: npt.NDArray[np.float32]) -> pb.ModelInferResponse:
    response = pb.ModelInferResponse(model_version="1", raw_output_contents=[values.tobytes()])
    response.outputs.add(name=OUTPUT_NAME, datatype="FP32", shape=values.shape)
    return response


def _handlers(triton: FakeTriton) -> grpc.GenericRpcHandler:
    """Inference, and the readiness that the front asks for; answers are bytes."""
    infer: Any = grpc.unary_unary_rpc_method_handler(triton.infer, pb.ModelInferRequest.FromString)
    ready: Any = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: pb.ModelReadyResponse(ready=True).SerializeToString()
    )
    index: Any = grpc.unary_unary_rpc_method_handler(triton.index)
    methods = {
        "ModelInfer": infer,
        "ModelReady": ready,
        "RepositoryIndex": index,
        "ServerReady": ready,
    }
    return grpc.method_handlers_generic_handler(_SERVICE.full_name, methods)
