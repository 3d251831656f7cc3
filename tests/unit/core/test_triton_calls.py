"""Triton's valid and invalid answers."""

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.errors import (
    DeadlineExceeded,
    ModelOutputInvalid,
    ModelVersionNotServed,
    TidemillError,
    TritonUnavailable,
)
from tidemill_core.triton import calls
from tidemill_core.triton.tensors import OUTPUT_NAME

GOOD = np.array([[0.25, 0.75], [1.0004, -0.0004]], np.float32)
"""Probabilities, the last ones rounded as in half precision."""


def response(
    *contents: bytes, shape: tuple[int, ...] = (2, 2), name: str = OUTPUT_NAME
) -> pb.ModelInferResponse:
    """Return an answer of one output with these raw contents."""
    made = pb.ModelInferResponse(raw_output_contents=contents)
    made.outputs.add(name=name, datatype="FP32", shape=shape)
    return made


def test_probabilities_are_read_as_they_are() -> None:
    """Two rows of two labels come back unchanged, with their rounding."""
    found = calls.probabilities(response(GOOD.tobytes()), "support-onnx", 1, rows=2)
    np.testing.assert_array_equal(found, GOOD)


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        pb.ModelInferResponse(),
        response(),
        response(b""),
        response(GOOD.tobytes()[:-1]),
        response(GOOD.tobytes()[:-4]),
        response(GOOD.tobytes() + b"\0\0\0\0"),
        response(GOOD.tobytes(), GOOD.tobytes()),
        response(GOOD.tobytes(), name="other"),
        response(GOOD.tobytes(), shape=(4,)),
        response(GOOD.tobytes(), shape=(4, 1)),
        response(GOOD.tobytes(), shape=(2, -2)),
        response(b"", shape=(2, 0)),
        response(b"", shape=(2, 2**62)),
        *(
            response(np.array([[0.5, 0.5], [0.5, wrong]], np.float32).tobytes())
            for wrong in (np.nan, np.inf, -np.inf, 1.01, -0.01, 3e38)
        ),
    ],
    ids=repr,
)
def test_what_are_no_probabilities_is_the_models_error(
    garbage: pb.ModelInferResponse | None,
) -> None:
    """No message, too few or too many bytes, wrong shapes and values are ModelOutputInvalid."""
    with pytest.raises(ModelOutputInvalid):
        calls.probabilities(garbage, "support-onnx", 1, rows=2)


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (grpc.StatusCode.CANCELLED, "CANCELLED", TritonUnavailable),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", TritonUnavailable),
        (grpc.StatusCode.UNAVAILABLE, "model is not at ready state", ModelVersionNotServed),
        (grpc.StatusCode.NOT_FOUND, "unknown model", ModelVersionNotServed),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", DeadlineExceeded),
        (grpc.StatusCode.INTERNAL, "Stub process is not healthy", TritonUnavailable),
        (grpc.StatusCode.INTERNAL, "the run failed", ModelOutputInvalid),
    ],
)
def test_a_failed_call_is_what_it_means(
    code: grpc.StatusCode, words: str, expected: type[TidemillError]
) -> None:
    """An ending Triton, an unloading version, a deadline and a failed run are different errors."""
    error = calls.infer_error(code, words, "triton:1", "support-onnx", 1, 0.5)
    assert type(error) is expected
