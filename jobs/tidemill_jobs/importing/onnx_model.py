"""ONNX models that were made elsewhere: checked, run and wrapped."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, compose, external_data_helper, helper, numpy_helper

from tidemill_core.onnx_session import open_session
from tidemill_core.triton.tensors import INPUT_NAME, OUTPUT_NAME
from tidemill_jobs.importing.foreign_model import (
    EXPECTED_INPUTS,
    IDS,
    MASK,
    OUTPUT_NAMES,
    SMALLEST,
    TOKEN_TYPES,
    Calibration,
    Vocabulary,
)
from tidemill_jobs.importing.refusal import ModelRefused

OPSETS = range(13, 22)
"""Softmax has its present meaning since 13; 21 is what Triton's images know since 24.10."""
DOMAINS = {"", "ai.onnx", "com.microsoft"}
_REFUSED_OPERATORS = {"EPContext", "PythonOp", "ATen"}
"""Operators of ONNX Runtime that load files or run code."""
_PREFIX = "imported/"
_ID_TYPES = {TensorProto.INT32, TensorProto.INT64}
_MASK_TYPES = {*_ID_TYPES, TensorProto.FLOAT, TensorProto.BOOL}
_OUTPUT_TYPES = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE}


class OnnxModel:
    """An ONNX model that passed the checks.

    Raises:
        ModelRefused: it is no ONNX model, or does not fit.
    """

    def __init__(self, content: bytes, vocabulary: Vocabulary) -> None:
        self._model = _checked(content)
        self._inputs = _inputs(self._model.graph)
        self._output = _output(self._model.graph)
        self._vocabulary = vocabulary
        self._session = open_session(self._composed(None))

    @property
    def fixed_length(self) -> int | None:
        """The only number of ids in a row that it takes; None if it takes any."""
        lengths = {
            value.type.tensor_type.shape.dim[1].dim_value for value in self._inputs.values()
        } - {0}
        return max(lengths, default=None)

    def answer(self, input_ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return its output for encoded rows."""
        (found,) = self._session.run([OUTPUT_NAME], {INPUT_NAME: input_ids})
        return np.asarray(found, np.float32)

    def wrapped(self, calibration: Calibration) -> bytes:
        """Return a model file with the input and output of Tidemill's models."""
        content = self._composed(calibration)
        self._session = open_session(content)
        return content

    def _composed(self, calibration: Calibration | None) -> bytes:
        """Return the graph between Tidemill's input and its own output, calibrated or raw."""
        model = compose.add_prefix(self._model, _PREFIX)
        graph = model.graph
        own = list(graph.node)
        del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
        graph.node.extend(self._input_nodes())
        graph.node.extend(own)
        graph.node.extend(_output_nodes(_PREFIX + self._output, calibration))
        graph.initializer.extend(self._constants(calibration))
        ids, answers = ["batch", "length"], ["batch", "labels"]
        graph.input.append(helper.make_tensor_value_info(INPUT_NAME, TensorProto.INT32, ids))
        graph.output.append(helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, answers))
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _input_nodes(self) -> Iterator[onnx.NodeProto]:
        """Yield what makes a model's inputs of Tidemill's: ids in range, the mask, zeros."""
        yield helper.make_node("Cast", [INPUT_NAME], ["wide_ids"], to=TensorProto.INT64)
        yield helper.make_node("Clip", ["wide_ids", "zero", "highest_id"], ["ids"])
        yield helper.make_node("Equal", ["ids", "padding_id"], ["is_padding"])
        yield helper.make_node("Not", ["is_padding"], ["mask"])
        yield helper.make_node("Mul", ["ids", "zero"], ["zeros"])
        sources = {IDS: "ids", MASK: "mask", TOKEN_TYPES: "zeros"}
        for name, value in self._inputs.items():
            kind = value.type.tensor_type.elem_type
            yield helper.make_node("Cast", [sources[name]], [_PREFIX + name], to=kind)

    def _constants(self, calibration: Calibration | None) -> Iterator[onnx.TensorProto]:
        ids = {
            "zero": 0,
            "highest_id": self._vocabulary.size - 1,
            "padding_id": self._vocabulary.padding_id,
        }
        for name, value in ids.items():
            yield numpy_helper.from_array(np.array(value, np.int64), name)
        if calibration is not None:
            temperature = np.array(calibration.temperature, np.float32)
            yield numpy_helper.from_array(temperature, "temperature")
            if calibration.are_probabilities:
                yield numpy_helper.from_array(np.array(SMALLEST, np.float32), "smallest")
            every = np.ones(calibration.labels, np.bool_)
            yield numpy_helper.from_array(every, "every_label")


def _output_nodes(output: str, calibration: Calibration | None) -> Iterator[onnx.NodeProto]:
    """Yield what makes Tidemill's output of a model's.

    Compress keeps every column, and keeps the labels' dimension symbolic: see `training.export`.
    """
    if calibration is None:
        yield helper.make_node("Cast", [output], [OUTPUT_NAME], to=TensorProto.FLOAT)
        return
    yield helper.make_node("Cast", [output], ["raw"], to=TensorProto.FLOAT)
    logits = "raw"
    if calibration.are_probabilities:
        yield helper.make_node("Clip", ["raw", "smallest"], ["positive"])
        yield helper.make_node("Log", ["positive"], ["logarithms"])
        logits = "logarithms"
    yield helper.make_node("Div", [logits, "temperature"], ["scaled"])
    yield helper.make_node("Softmax", ["scaled"], ["softmax"], axis=1)
    yield helper.make_node("Compress", ["softmax", "every_label"], [OUTPUT_NAME], axis=1)


def _checked(content: bytes) -> onnx.ModelProto:
    """Return a model that ONNX's checker accepts, whole and with known operators.

    Raises:
        ModelRefused: it is none.
    """
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelRefused("the file is not an ONNX model", "an ONNX file") from error
    for tensor in external_data_helper._get_all_tensors(model):
        if external_data_helper.uses_external_data(tensor):
            raise ModelRefused(
                f"the weights {tensor.name!r} are in another file",
                "one file: export with external_data=False, or save with onnx.save_model",
            )
    _check_operators(model)
    try:
        onnx.checker.check_model(content)
    except onnx.checker.ValidationError as error:
        reason = str(error).split("\n")[0][:200]
        raise ModelRefused(f"ONNX's checker refuses the file: {reason}", "an ONNX model") from error
    return model


def _check_operators(model: onnx.ModelProto) -> None:
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if not versions or versions[0] not in OPSETS:
        found = f"opset {versions[0]}" if versions else "no opset of ONNX"
        raise ModelRefused(
            f"the model has {found}",
            f"opset {OPSETS[0]} to {OPSETS[-1]}: export it again with opset_version=17",
        )
    own = {(function.domain, function.name) for function in model.functions}
    nodes = list(_nodes(model.graph.node))
    nodes += [node for function in model.functions for node in _nodes(function.node)]
    for node in nodes:
        known = node.domain in DOMAINS and node.op_type not in _REFUSED_OPERATORS
        if not known and (node.domain, node.op_type) not in own:
            raise ModelRefused(
                f"the model has the operator {node.domain or 'ai.onnx'}:{node.op_type}",
                "operators of ai.onnx and com.microsoft that neither load files nor run code",
            )


def _nodes(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield nodes, and those of the graphs in their attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _inputs(graph: onnx.GraphProto) -> Mapping[str, onnx.ValueInfoProto]:
    """Return the inputs by name.

    Raises:
        ModelRefused: they are not those that a text classifier has.
    """
    weights = {each.name for each in graph.initializer}
    inputs = {value.name: value for value in graph.input if value.name not in weights}
    if IDS not in inputs or inputs.keys() - {IDS, MASK, TOKEN_TYPES}:
        raise ModelRefused(f"the model's inputs are {', '.join(inputs)}", EXPECTED_INPUTS)
    for name, value in inputs.items():
        tensor = value.type.tensor_type
        if tensor.elem_type not in (_ID_TYPES if name == IDS else _MASK_TYPES):
            kind = TensorProto.DataType.Name(tensor.elem_type)
            raise ModelRefused(f"the input {name} is {kind}", "int64 or int32")
        sizes = [each.dim_value for each in tensor.shape.dim]
        if len(sizes) != 2 or sizes[0]:
            shape = [each.dim_value or each.dim_param or "?" for each in tensor.shape.dim]
            raise ModelRefused(
                f"the input {name} has the shape {shape}",
                "[batch, length] with an open batch: export with dynamic_shapes or dynamic_axes",
            )
    return inputs


def _output(graph: onnx.GraphProto) -> str:
    """Return the name of the output to take.

    Raises:
        ModelRefused: there is not exactly one that can be it.
    """
    names = [value.name for value in graph.output]
    named = [value for value in graph.output if value.name in OUTPUT_NAMES]
    chosen = named if len(names) > 1 else list(graph.output)
    if len(chosen) != 1:
        expected = f"one output, or one that is called {' or '.join(OUTPUT_NAMES)}"
        raise ModelRefused(f"the model's outputs are {', '.join(names)}", expected)
    tensor = chosen[0].type.tensor_type
    if tensor.elem_type not in _OUTPUT_TYPES:
        kind = TensorProto.DataType.Name(tensor.elem_type)
        raise ModelRefused(f"the output {chosen[0].name} is {kind}", "floating point numbers")
    return chosen[0].name
