"""One embedded Triton for the folder's tests, and tiny models for it."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.plugins.triton import RunningTriton
from tidemill_core.triton.config import ModelConfig, ModelFormat, write_config
from tidemill_core.triton.control import TritonControl

VOCABULARY, WIDTH, LENGTH = 50, 8, 6

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TinyModel:
    """A model of mean embeddings, linear layer and softmax, with other weights in each version."""

    table: Array
    weights: Array

    def offline(self, input_ids: npt.NDArray[np.int32]) -> Array:
        """Return the answer without Triton."""
        scores = self.table[input_ids].mean(axis=1) @ self.weights
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)

    def write_onnx(self, path: Path) -> None:
        """Write the model as model.onnx."""
        nodes = [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("ReduceMean", ["rows"], ["pooled"], axes=[1], keepdims=0),
            helper.make_node("MatMul", ["pooled", "weights"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities__0"], axis=1),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["batch", "length"])],
            [
                helper.make_tensor_value_info(
                    "probabilities__0", TensorProto.FLOAT, ["batch", "labels"]
                )
            ],
            [
                numpy_helper.from_array(self.table, "table"),
                numpy_helper.from_array(self.weights, "weights"),
            ],
        )
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)

    def write_torchscript(self, path: Path) -> None:
        """Write the model as model.pt."""
        module = _Tiny(torch.from_numpy(self.table), torch.from_numpy(self.weights))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            traced = torch.jit.trace(module, torch.zeros(2, LENGTH, dtype=torch.int32))
            traced.save(str(path))


class _Tiny(torch.nn.Module):
    def __init__(self, table: torch.Tensor, weights: torch.Tensor) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(table)
        self.weights = torch.nn.Parameter(weights)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.table[input_ids.long()].mean(dim=1) @ self.weights, dim=1)


Publish = Callable[..., TinyModel]


@pytest.fixture(scope="session")
def publish(repository: Path) -> Publish:
    """Return a function that writes a version's file, which needs a configuration to be served."""

    def write(
        name: str, version: int, labels: int = 4, model_format: ModelFormat = "onnx"
    ) -> TinyModel:
        random = np.random.default_rng(version)
        model = TinyModel(
            random.normal(size=(VOCABULARY, WIDTH)).astype(np.float32),
            random.normal(size=(WIDTH, labels)).astype(np.float32),
        )
        folder = repository / name / str(version)
        folder.mkdir(parents=True)
        if model_format == "onnx":
            model.write_onnx(folder / "model.onnx")
        else:
            model.write_torchscript(folder / "model.pt")
        return model

    return write


@pytest.fixture(scope="session")
def configure(repository: Path) -> Callable[..., None]:
    """Return a function that configures a model's versions for the next load."""

    def write(name: str, *versions: int, model_format: ModelFormat = "onnx") -> None:
        write_config(repository, ModelConfig(name, model_format, versions))

    return write


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Triton's model repository."""
    return tmp_path_factory.mktemp("model_repository")


@pytest.fixture(scope="session")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    """Run an embedded Triton that serves nothing yet."""
    with RunningTriton(repository, tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def control(triton: RunningTriton) -> Iterator[TritonControl]:
    """Yield a connection with the key; Triton runs."""
    triton.revive()
    with triton.control() as connection:
        yield connection


@pytest.fixture
def token_ids() -> Callable[[int], npt.NDArray[np.int32]]:
    """Return a function that draws rows of token ids."""
    random = np.random.default_rng(0)

    def draw(rows: int) -> npt.NDArray[np.int32]:
        return random.integers(0, VOCABULARY, size=(rows, LENGTH), dtype=np.int32)

    return draw
