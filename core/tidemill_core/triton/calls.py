"""The code that the blocking and the asynchronous client share: requests, answers and errors."""

import math
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2

from tidemill_core.counted import counted
from tidemill_core.errors import (
    DeadlineExceeded,
    ModelOutputInvalid,
    ModelVersionNotServed,
    TidemillError,
    TritonUnavailable,
)
from tidemill_core.loopback import direct_options
from tidemill_core.triton.tensors import INPUT_NAME, OUTPUT_NAME

_CHANNEL_OPTIONS = (
    # The channel reconnects to a restarted Triton within half a second. Despite its name, the
    # minimum is the time limit of one attempt: on a busy machine a handshake takes a while.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    # Pings find a Triton whose machine is gone. They are sent only while calls wait, because Triton
    # closes connections that ping without calls.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Each channel has its own connection, so a broken one is never shared.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)

_FLOAT_BYTES = 4
_PROBABILITIES = (-1e-3, 1 + 1e-3)
"""The range of probabilities, with the rounding of half precision."""
_REWARDS = (-1e6, 1e6)
"""The range of rewards; a larger one would be a fault of the model."""
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""CANCELLED means that Triton is ending: the error of a call that we canceled is not read."""
_NOT_READY = "is not at ready state"
"""Triton's words, with the code UNAVAILABLE, for a version that is not ready."""
_STUB_DIED = "is not healthy"
"""Triton's words, with the code INTERNAL, for a model whose process died."""


def channel_options(address: str) -> tuple[tuple[str, int], ...]:
    """Return the options of a channel to Triton.

    Args:
        address: host:port of its gRPC server.
    """
    return (*_CHANNEL_OPTIONS, *direct_options(address))


def infer_request(
    model_name: str, version: int, input_ids: npt.NDArray[np.int32], request_id: str = ""
) -> service_pb2.ModelInferRequest:
    """Build the raw request: int32 [rows, length], without tritonclient's costly wrappers."""
    request = service_pb2.ModelInferRequest(
        model_name=model_name, model_version=str(version), id=request_id
    )
    request.inputs.add(name=INPUT_NAME, datatype="INT32", shape=input_ids.shape)
    request.raw_input_contents.append(np.ascontiguousarray(input_ids, dtype="<i4").tobytes())
    return request


def probabilities(
    response: service_pb2.ModelInferResponse | None, model_name: str, version: int, rows: int
) -> npt.NDArray[np.float32]:
    """Read the answer, float32 [rows, labels], read-only; a single column has rewards.

    Args:
        response: the answer; None for a message that cannot be decoded.
        model_name: the model that answered.
        version: its version.
        rows: the number of rows in the request.

    Raises:
        ModelOutputInvalid: another tensor, another shape, or values that are neither
            probabilities nor rewards.
    """
    if response is None:
        raise ModelOutputInvalid(model_name, version, "a message that cannot be decoded")
    if len(response.outputs) != 1 or response.outputs[0].name != OUTPUT_NAME:
        names = [output.name for output in response.outputs]
        raise ModelOutputInvalid(model_name, version, f"outputs {names}, not [{OUTPUT_NAME!r}]")
    shape = tuple(response.outputs[0].shape)
    if len(shape) != 2 or shape[0] != rows or shape[1] < 1:
        raise ModelOutputInvalid(model_name, version, f"shape {shape} to {counted(rows, 'row')}")
    contents = response.raw_output_contents
    sizes = [len(content) for content in contents]
    if sizes != [_FLOAT_BYTES * math.prod(shape)]:
        raise ModelOutputInvalid(model_name, version, f"{sizes} bytes for shape {shape}")
    values = np.frombuffer(contents[0], dtype="<f4")
    lowest, highest = _REWARDS if shape[1] == 1 else _PROBABILITIES
    # The minimum and maximum of values with NaN are NaN, and comparisons with NaN are false.
    if not (values.min() >= lowest and values.max() <= highest):
        raise ModelOutputInvalid(model_name, version, "NaN, or values out of range")
    return values.reshape(shape)


def infer_error(
    code: grpc.StatusCode,
    details: str,
    address: str,
    model_name: str,
    version: int,
    timeout_seconds: float,
) -> TidemillError:
    """Return our error for a failed inference call."""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(timeout_seconds)
    if is_unserved(code, details):
        return ModelVersionNotServed(model_name, version)
    if is_away(code, details):
        return TritonUnavailable(address, details)
    return ModelOutputInvalid(model_name, version, f"{code.name}: {details}")


def is_unserved(code: grpc.StatusCode, details: str) -> bool:
    """Return whether a call failed because this Triton does not serve the version."""
    return code is grpc.StatusCode.NOT_FOUND or _NOT_READY in details


def is_away(code: grpc.StatusCode, details: str) -> bool:
    """Return whether a call failed because Triton, or the process of the model, is away.

    Triton answers UNAVAILABLE both for a version that is being loaded or unloaded and when it ends,
    and INTERNAL both for a failed run and for a process that died. Its words tell the cases apart.
    """
    return _NOT_READY not in details and (code in _AWAY or _STUB_DIED in details)


def status(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Return a failed call's code and details; grpc's base class does not declare them."""
    failure: Any = error
    return failure.code(), failure.details() or ""
