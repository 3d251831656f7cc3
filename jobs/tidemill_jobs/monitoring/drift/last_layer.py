"""What a model's last layer takes: the graph of each format, cut off before that layer."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from tidemill_core.domain.model import MODEL_FILES
from tidemill_core.onnx_session import open_session
from tidemill_core.triton.tensors import INPUT_NAME
from tidemill_jobs.importing.foreign_model import Calibration
from tidemill_jobs.importing.refusal import ModelRefused

Vectors = npt.NDArray[np.float32]
Layer = Callable[[npt.NDArray[np.int32]], Vectors]
"""From encoded texts [n, length] to vectors whose first dimension is n."""

_LINEAR = ("Gemm", "MatMul")


class LastLayer:
    """A published model up to its last layer, as the confined process opens it.

    Args:
        path: the model's file.
    """

    fixed_length = None

    def __init__(self, path: Path) -> None:
        is_torchscript = path.name == MODEL_FILES["torchscript"]
        self._layer = _torchscript(path) if is_torchscript else _onnx(path)

    def answer(self, input_ids: npt.NDArray[np.int32]) -> Vectors:
        """Return what the last layer takes for encoded texts."""
        return self._layer(input_ids)

    def wrapped(self, calibration: Calibration) -> bytes:  # noqa: ARG002 -- the protocol
        """Refuse, because only a whole model can be wrapped."""
        raise ModelRefused("a part of a model", "a whole one")


def _onnx(path: Path) -> Layer:
    model = onnx.load(path)
    makers = {output: node for node in model.graph.node for output in node.output}
    name = wanted = model.graph.output[0].name
    while node := makers.get(name):
        if node.op_type in _LINEAR:
            wanted = node.input[0]
            break
        name = next((each for each in node.input if each in makers), "")
    if wanted != model.graph.output[0].name:
        model.graph.output.append(onnx.ValueInfoProto(name=wanted))
    session = open_session(model.SerializeToString())

    def layer(rows: npt.NDArray[np.int32]) -> Vectors:
        [vectors] = session.run([wanted], {INPUT_NAME: rows})
        found: Vectors = vectors
        return found

    return layer


def _torchscript(path: Path) -> Layer:
    import torch  # only where a version needs it, because it takes seconds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        module: Any = torch.jit.load(path, map_location="cpu")
    graph = module.graph
    if linear := graph.findAllNodes("aten::linear"):
        graph.eraseOutput(0)
        graph.registerOutput(linear[-1].inputsAt(0))
    forward = torch._C._create_function_from_graph("forward", graph)

    def layer(rows: npt.NDArray[np.int32]) -> Vectors:
        with torch.no_grad():
            found: Vectors = forward(module._c, torch.from_numpy(rows)).numpy()
        return found

    return layer
