"""Checks of Open Inference Protocol requests: bounded sizes, and no shared memory.

Triton trusts its callers more than the front can. It reads regions of its host's memory by name,
multiplies shapes until they overflow, and repeats names of any length in its errors.
"""

import math
from collections.abc import Sequence
from typing import Any

from tritonclient.grpc import service_pb2 as pb

from tidemill_core.errors import InvalidArgument
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_words

MAX_ROWS = 1024
"""Bound on the first dimension of an input."""
MAX_ELEMENTS = 1024 * 1024
"""Bound on the product of an input's dimensions."""
MAX_DIMENSIONS = 8
MAX_TENSORS = 16
"""Bound on a request's inputs, and on the outputs that it names."""

_SHARED_MEMORY = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")

_Tensor = Any  # an input or an output; the generated code has no types


def check_infer(request: pb.ModelInferRequest) -> None:
    """Check everything that does not depend on the model; Triton checks the rest.

    Raises:
        InvalidArgument: VALUE_TOO_LONG, TOO_MANY_TENSORS, SHARED_MEMORY_NOT_EXPOSED,
            INVALID_SHAPE or SHAPE_TOO_LARGE; names the field.
    """
    for field in ("model_version", "id"):
        check_words(field, getattr(request, field), MAX_KEY_LENGTH)
    for field in ("inputs", "outputs"):
        tensors = getattr(request, field)
        if len(tensors) > MAX_TENSORS:
            rule = f"has {len(tensors)} tensors; the limit is {MAX_TENSORS}"
            raise InvalidArgument("TOO_MANY_TENSORS", field, rule)
        for index, tensor in enumerate(tensors):
            _check_tensor(f"{field}[{index}]", tensor)
    for index, tensor in enumerate(request.inputs):
        check_words(f"inputs[{index}].datatype", tensor.datatype, MAX_KEY_LENGTH)
        _check_shape(f"inputs[{index}].shape", tensor.shape)


def _check_tensor(field: str, tensor: _Tensor) -> None:
    check_words(f"{field}.name", tensor.name, MAX_KEY_LENGTH)
    for name in _SHARED_MEMORY:
        if name in tensor.parameters:
            raise InvalidArgument(
                "SHARED_MEMORY_NOT_EXPOSED",
                f"{field}.parameters.{name}",
                "shared memory is not available here; send the values themselves",
            )


def _check_shape(field: str, shape: Sequence[int]) -> None:
    _check_size(field, len(shape), "dimensions", MAX_DIMENSIONS)
    if not shape or min(shape) < 1:
        rule = f"is {list(shape)}; each dimension is at least 1"
        raise InvalidArgument("INVALID_SHAPE", field, rule)
    _check_size(field, shape[0], "rows", MAX_ROWS)
    _check_size(field, math.prod(shape), "elements", MAX_ELEMENTS)


def _check_size(field: str, size: int, what: str, limit: int) -> None:
    if size > limit:
        raise InvalidArgument("SHAPE_TOO_LARGE", field, f"has {size} {what}; the limit is {limit}")


def rows_of(request: pb.ModelInferRequest) -> int:
    """Return a checked request's number of rows: the largest first dimension, at least 1."""
    return max((tensor.shape[0] for tensor in request.inputs if tensor.shape), default=1) or 1
