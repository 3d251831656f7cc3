"""Tiny classifiers in the formats that people export, sound and broken."""

import io
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

VOCABULARY = 20
LABELS = 3
WEIGHTS = np.random.default_rng(0).normal(size=(VOCABULARY, LABELS)).astype(np.float32)
"""The logits of a text are the mean of its tokens' rows."""


def expected(rows: np.ndarray[Any, Any], padding_id: int = 0) -> np.ndarray[Any, Any]:
    """Return the logits of encoded rows."""
    mask = (rows != padding_id)[:, :, None]
    found: np.ndarray[Any, Any] = (WEIGHTS[rows] * mask).sum(1) / np.maximum(mask.sum(1), 1)
    return found


def tiny_onnx(
    ids: int = TensorProto.INT64,
    shape: Sequence[int | str] = ("batch", "length"),
    inputs: Sequence[str] = ("input_ids", "attention_mask"),
    outputs: Mapping[str, str] | None = None,
    weights: np.ndarray[Any, Any] = WEIGHTS,
    opset: int = 17,
    domain: str = "",
    operator: str = "ReduceSum",
) -> bytes:
    """Return an ONNX classifier.

    Args:
        ids: the type of the inputs.
        shape: the shape of the inputs.
        inputs: their names.
        outputs: which of the values `logits`, `softmax` and `sigmoid` are outputs, by name.
        weights: rows of logits by token.
        opset: the version of the operators.
        domain: the domain of one operator.
        operator: that operator.
    """
    outputs = {"logits": "logits"} if outputs is None else outputs
    kind = helper.np_dtype_to_tensor_dtype(weights.dtype)
    mask = "attention_mask" if "attention_mask" in inputs else "input_ids"
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["rows"]),
        helper.make_node("Cast", [mask], ["weight"], to=kind),
        helper.make_node("Unsqueeze", ["weight", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["kept"]),
        helper.make_node(operator, ["kept", "second"], ["sum"], keepdims=0, domain=domain),
        helper.make_node("ReduceSum", ["column", "second"], ["count"], keepdims=0),
        helper.make_node("Max", ["count", "one"], ["divisor"]),
        helper.make_node("Div", ["sum", "divisor"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["softmax"], axis=1),
        helper.make_node("Sigmoid", ["logits"], ["sigmoid"]),
    ]
    nodes += [helper.make_node("Identity", [v], [n]) for n, v in outputs.items() if n != v]
    constants = {
        "weights": weights,
        "last": np.array([2]),
        "second": np.array([1]),
        "one": np.array(1, weights.dtype),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, ids, list(shape)) for name in inputs],
        [helper.make_tensor_value_info(name, kind, [None, weights.shape[1]]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString())


def with_external_data() -> bytes:
    """Return an ONNX classifier whose weights are in another file."""
    model = onnx.load_model_from_string(tiny_onnx())
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    return bytes(model.SerializeToString())


class Tiny(nn.Module):
    """The same classifier for TorchScript."""

    def __init__(self, weights: np.ndarray[Any, Any] = WEIGHTS) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(weights))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return logits."""
        kept = self.weights[input_ids] * attention_mask.unsqueeze(2)
        return kept.sum(1) / attention_mask.sum(1, keepdim=True).clamp(min=1)


class Saves(Tiny):
    """A classifier that writes a file."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Write a file, and return logits."""
        torch.save(attention_mask, "stolen.pt")
        return self.weights[input_ids].sum(1)


class OtherInputs(nn.Module):
    """A module with an input that Tidemill does not have."""

    def forward(self, input_ids: Tensor, position_ids: Tensor) -> Tensor:
        """Return numbers."""
        return (input_ids + position_ids).to(torch.float32)


class TwoOutputs(Tiny):
    """A classifier with two outputs."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits twice."""
        kept = self.weights[input_ids] * attention_mask.unsqueeze(2)
        return kept.sum(1), kept.sum(1)


class ReturnsText(Tiny):
    """A model that answers in words."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> str:
        """Return a label's name."""
        return "card" if input_ids.shape == attention_mask.shape else ""


class Fails(Tiny):
    """A model that fails for one row, and ends its process for several."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Invert a matrix that has no inverse, or read far outside of a tensor's memory."""
        if input_ids.shape[0] == 1:
            return torch.linalg.inv(torch.zeros_like(self.weights[:3]))
        lengths = (input_ids[0, :1] + attention_mask[0, :1]).to(torch.int64) + (1 << 40)
        return torch.segment_reduce(torch.ones(4), "sum", lengths=lengths, unsafe=True)


def scripted(module: nn.Module) -> bytes:
    """Return a module as TorchScript."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


def traced(module: nn.Module, rows: int = 2, length: int = 8) -> bytes:
    """Return a traced module as TorchScript."""
    buffer = io.BytesIO()
    ids = torch.ones((rows, length), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.trace(module, (ids, ids)), buffer)
    return buffer.getvalue()


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("run-by-pickle", "w"))


def pickled_code() -> bytes:
    """Return what `torch.save` writes of an object that runs code when it is unpickled."""
    buffer = io.BytesIO()
    torch.save({"weights": _Code()}, buffer)
    return buffer.getvalue()


def zip_bomb() -> bytes:
    """Return a small archive that unpacks to 3 GiB: its entries share their compressed bytes."""
    buffer, size = io.BytesIO(), 1 << 24
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/constants.pkl", b"")
        archive.writestr("model/data/0", bytes(size))
        archive.filelist += archive.filelist[-1:] * ((3 << 30) // size - 1)
    return buffer.getvalue()
