"""A model's last layer: what it takes, in each format."""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.integration.server.models import LENGTH, TinyModel
from tidemill_jobs.importing.foreign_model import LAST_LAYER, Vocabulary
from tidemill_jobs.importing.sandbox import Sandbox
from tidemill_jobs.monitoring.drift.last_layer import LastLayer
from tidemill_jobs.training.classifier import CalibratedClassifier, Classifier

ROWS = np.array([[2, 3, 4, 0, 0, 0, 0, 0], [5, 5, 6, 7, 0, 0, 0, 0]], dtype=np.int32)


class TwoLayers(Classifier):
    """A mean of embeddings, a hidden layer, and logits."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 6)
        self.hidden = nn.Linear(6, 5)
        self.logits = nn.Linear(5, 3)

    def vectors(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return what the last layer takes."""
        pooled = self.table(input_ids.to(torch.int64)).mean(dim=1)
        return nn.functional.gelu(self.hidden(pooled))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.logits(self.vectors(input_ids))
        return logits


def test_an_onnx_model_ends_before_its_last_product(tmp_path: Path) -> None:
    """The vectors of an ONNX model are what its last matrix multiplies."""
    model = TinyModel(1)
    (tmp_path / "model.onnx").write_bytes(model.onnx())
    found = LastLayer(tmp_path / "model.onnx").answer(ROWS)
    assert found.shape == (len(ROWS), LENGTH)
    np.testing.assert_allclose(found, model._table[ROWS].mean(axis=1), rtol=1e-5)


def test_a_torchscript_model_ends_before_its_last_layer(tmp_path: Path) -> None:
    """The vectors of a TorchScript model, frozen as ours are, are what its last layer takes."""
    network = TwoLayers()
    rows = torch.from_numpy(ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated
        traced = torch.jit.trace(CalibratedClassifier(network, 1.5), (rows,))
        content = io.BytesIO()
        torch.jit.save(torch.jit.freeze(traced), content)
    (tmp_path / "model.pt").write_bytes(content.getvalue())
    with Sandbox(tmp_path / "model.pt", LAST_LAYER, Vocabulary(0, 0)) as confined:
        found = confined.answer(ROWS)
    np.testing.assert_allclose(found, network.vectors(rows).detach().numpy(), rtol=1e-5)
