"""Weights in int8: a quarter of the size, with answers that do not depend on their batch.

Each row of a weight matrix (an output of a dense layer, a token's vector) becomes whole numbers in
[-127, 127] and one scale. Only weights are rounded: the graph computes in float32. Activations in
int8 would need one scale for a whole batch, or one from other rows, and a difference in the last
bit between two machines could become one of a whole step.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from tidemill_jobs.training.classifier import Classifier

_LARGEST = 127
_SMALLEST_MATRIX = 4096
"""Smaller matrices stay float32 in the file: they save nothing."""
_ROUNDING_ERROR = 1e-6

Matrix = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int8]


def rounded(classifier: Classifier) -> Classifier:
    """Return a folded copy of a classifier, its matrices rounded to what int8 can hold."""
    copy = deepcopy(classifier)
    copy.fold()
    with torch.no_grad():
        for parameter in copy.parameters():
            matrix = parameter.detach().numpy()
            if _is_finite_matrix(matrix):
                whole, scale = _quantize(matrix, axis=1)
                parameter.copy_(torch.from_numpy(whole * scale))
    return copy


def store_int8(model: onnx.ModelProto) -> None:
    """Store in int8 every matrix that this does not change, as `rounded` leaves them.

    A table of vectors stays in int8 in memory: the rows that are looked up become float32. ONNX
    Runtime computes the other matrices once, when it loads the model.
    """
    for initializer in list(model.graph.initializer):
        matrix = numpy_helper.to_array(initializer)
        if matrix.size < _SMALLEST_MATRIX or not _is_finite_matrix(matrix):
            continue
        for axis in (1, 0):
            whole, scale = _quantize(matrix, axis)
            if np.allclose(whole * scale, matrix, rtol=_ROUNDING_ERROR, atol=0.0):
                _replace(model.graph, initializer, whole, scale)
                break


def _is_finite_matrix(values: npt.NDArray[Any]) -> bool:
    """Return False for NaN and infinity too: the gates find them in float32."""
    is_matrix = values.ndim == 2 and values.dtype == np.float32
    return is_matrix and bool(np.isfinite(values).all())


def _quantize(matrix: Matrix, axis: int) -> tuple[Whole, Matrix]:
    """Return whole numbers and scales whose product is the matrix, rounded.

    There is one scale for all numbers along the axis.
    """
    scale = np.abs(matrix).max(axis=axis, keepdims=True) / np.float32(_LARGEST)
    whole = np.rint(matrix / np.where(scale > 0, scale, np.float32(1)))
    return whole.astype(np.int8), scale


def _replace(
    graph: onnx.GraphProto, initializer: onnx.TensorProto, whole: Whole, scale: Matrix
) -> None:
    """Replace a matrix by its int8 form and the nodes that restore it."""
    name = initializer.name
    readers = [node for node in graph.node if name in node.input]
    parts = [f"{name}_int8", f"{name}_scale"]
    by_row = scale.shape[1] == 1
    graph.initializer.remove(initializer)
    graph.initializer.append(numpy_helper.from_array(whole, parts[0]))
    graph.initializer.append(numpy_helper.from_array(scale, parts[1]))
    if by_row and all(_looks_up(node, name) for node in readers):
        for node in readers:
            place = list(graph.node).index(node)
            graph.node.remove(node)
            _insert(graph, place, _looked_up(node, parts))
    else:
        _insert(graph, 0, _restored(parts, name))


def _looks_up(node: onnx.NodeProto, name: str) -> bool:
    axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
    return node.op_type == "Gather" and node.input[0] == name and axis == 0


def _looked_up(node: onnx.NodeProto, parts: list[str]) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that look up rows and scales, and multiply them."""
    rows = [f"{node.output[0]}_{kind}" for kind in ("int8", "scale")]
    for part, row in zip(parts, rows, strict=True):
        yield helper.make_node("Gather", [part, node.input[1]], [row], axis=0)
    yield from _restored(rows, node.output[0])


def _restored(parts: list[str], name: str) -> Iterator[onnx.NodeProto]:
    whole, scale = parts
    yield helper.make_node("Cast", [whole], [f"{whole}_float"], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", [f"{whole}_float", scale], [name])


def _insert(graph: onnx.GraphProto, place: int, nodes: Iterator[onnx.NodeProto]) -> None:
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)
