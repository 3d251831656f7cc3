"""Exports of a classifier for Triton, and the check that they answer as it does."""

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx
import torch

from tidemill_core.counted import counted
from tidemill_core.errors import TidemillError
from tidemill_core.onnx_session import open_session
from tidemill_core.text import TextEncoder
from tidemill_core.triton.tensors import INPUT_NAME, OUTPUT_NAME
from tidemill_jobs.training.classifier import CalibratedClassifier
from tidemill_jobs.training.int8 import store_int8

TOLERANCE = 1e-4
_TIE = 1e-6
_EXAMPLE_ROWS = 2

Probabilities = npt.NDArray[np.float32]


class ExportMismatch(TidemillError):
    """An exported model answers differently from its module."""

    reason = "EXPORT_MISMATCH"

    def __init__(self, model_format: str, largest_difference: float, labels_changed: int) -> None:
        super().__init__(
            f"the {model_format} export differs by up to {largest_difference:.2e} "
            f"(at most {TOLERANCE:.0e} is allowed) and changes {counted(labels_changed, 'label')}"
        )


def export_onnx(classifier: CalibratedClassifier, sequence_length: int) -> bytes:
    """Export a classifier in evaluation mode to ONNX, with the dynamo exporter.

    Returns:
        A serialized model from `input_ids`, int32 [batch, length], to `probabilities__0`, float32
        [batch, labels]. All three dimensions are symbolic, because lengths and label counts
        differ between versions, and Triton's configuration has -1 for them. Weights that were
        rounded to int8 are stored as such.
    """
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript", "onnx_ir"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            classifier,
            (_example(sequence_length),),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes={
                INPUT_NAME: {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
            },
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the dynamo exporter returned no program")
    model = program.model_proto
    _make_labels_symbolic(model)
    store_int8(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _make_labels_symbolic(model: onnx.ModelProto) -> None:
    """End the graph with an operator whose width shape inference cannot infer.

    A new name for the dimension is not enough: ONNX Runtime infers the width from the weights
    again. Compress copies the columns that a mask selects, and this mask selects all.
    """
    graph = model.graph
    labels = graph.output[0].type.tensor_type.shape.dim[1]
    every = onnx.numpy_helper.from_array(np.ones(labels.dim_value, dtype=np.bool_), "every_label")
    (last,) = [node for node in graph.node if OUTPUT_NAME in node.output]
    last.output[0] = "all_probabilities"
    graph.initializer.append(every)
    graph.node.append(
        onnx.helper.make_node("Compress", [last.output[0], every.name], [OUTPUT_NAME], axis=1)
    )
    labels.dim_param = "labels"


def export_torchscript(classifier: CalibratedClassifier, sequence_length: int) -> bytes:
    """Export a classifier to TorchScript by tracing and freezing.

    Returns:
        A serialized module whose `forward(input_ids)` has the input and output of the ONNX graph.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and is what Triton loads
        traced = torch.jit.trace(classifier, _example(sequence_length))
        torch.jit.save(torch.jit.freeze(traced), buffer)
    return buffer.getvalue()


EXPORTERS: Mapping[str, Callable[[CalibratedClassifier, int], bytes]] = {
    "onnx": export_onnx,
    "torchscript": export_torchscript,
}
"""The exporters, by format: a classifier and its sequence length to a file's content."""


def compare(
    exported: bytes,
    model_format: str,
    classifier: torch.nn.Module,
    encoder: TextEncoder,
    texts: Sequence[str],
) -> float:
    """Compare the answers of an exported model with those of its module.

    Returns:
        The largest absolute difference between two probabilities; 0 without texts.

    Raises:
        ExportMismatch: the difference is above 1e-4 or not a number, or a label differs whose
            probabilities are not within 1e-6 of each other.
    """
    answer = open_export(exported, model_format)
    largest, changed = 0.0, 0
    for start in range(0, len(texts), 256):
        input_ids = encoder.encode(texts[start : start + 256])
        with torch.no_grad():
            expected = classifier(torch.from_numpy(input_ids)).numpy()
        answered = answer(input_ids)
        largest = float(np.maximum(largest, np.abs(expected - answered).max()))
        rows = np.arange(len(expected))
        given_up = expected.max(axis=1) - expected[rows, answered.argmax(axis=1)]
        changed += int((given_up > _TIE).sum())
    if not largest <= TOLERANCE or changed:
        raise ExportMismatch(model_format, largest, changed)
    return largest


def open_export(
    exported: bytes, model_format: str
) -> Callable[[npt.NDArray[np.int32]], Probabilities]:
    """Open an exported model: int32 [rows, length] -> float32 [rows, labels]."""
    return _RUNTIMES[model_format](exported)


def _onnx_runtime(exported: bytes) -> Callable[[npt.NDArray[np.int32]], Probabilities]:
    session = open_session(exported)
    return lambda input_ids: cast(
        "Probabilities", session.run([OUTPUT_NAME], {INPUT_NAME: input_ids})[0]
    )


def _torchscript_runtime(exported: bytes) -> Callable[[npt.NDArray[np.int32]], Probabilities]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and is what Triton loads
        module = torch.jit.load(io.BytesIO(exported))

    def answer(input_ids: npt.NDArray[np.int32]) -> Probabilities:
        with torch.no_grad():
            return cast("Probabilities", module(torch.from_numpy(input_ids)).numpy())

    return answer


_RUNTIMES = {"onnx": _onnx_runtime, "torchscript": _torchscript_runtime}


def _example(sequence_length: int) -> torch.Tensor:
    return torch.ones((_EXAMPLE_ROWS, sequence_length), dtype=torch.int32)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Silence loggers below errors: the exporter logs its steps as warnings."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
