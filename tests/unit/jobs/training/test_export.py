"""Exports."""

from typing import get_args

import numpy as np
import onnx
import pytest
import torch

from tests.unit.jobs.training.networks.test_sentence_encoder import TUNED
from tidemill_core.onnx_session import open_session
from tidemill_core.settings.training import NetworkName
from tidemill_jobs.training.classifier import CalibratedClassifier
from tidemill_jobs.training.export import (
    ExportMismatch,
    compare,
    export_onnx,
    export_torchscript,
)
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.tracking import Tracker
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

TEXTS = ["rain 3 and clouds", "", "sunny", "\0", "x" * 500, "no shade 😀"] * 10
EXPORTS = {"onnx": export_onnx, "torchscript": export_torchscript}


@pytest.fixture(scope="session", params=get_args(NetworkName))
def model(request: pytest.FixtureRequest, data: TrainingData, recorder: Tracker) -> TrainedModel:
    """A small model of each network; layers of the sentence encoder are tuned."""
    tuned = TUNED if request.param == "sentence_encoder" else {}
    config = TrainingConfig(request.param, tuned)
    return train(data, config, lambda _done, _message: None, recorder)


@pytest.fixture(scope="session")
def exported(model: TrainedModel) -> dict[str, bytes]:
    """The small model in each format."""
    return {
        name: export(model.classifier, model.sequence_length) for name, export in EXPORTS.items()
    }


@pytest.mark.parametrize("model_format", EXPORTS)
def test_an_export_answers_as_its_module(
    model: TrainedModel, exported: dict[str, bytes], model_format: str
) -> None:
    """The answers are the module's for every batch size and for odd texts."""
    encoder = model.encoder
    for texts in (TEXTS, TEXTS[:1]):
        assert (
            compare(exported[model_format], model_format, model.classifier, encoder, texts) < 1e-4
        )


@pytest.mark.parametrize("model_format", EXPORTS)
def test_another_model_is_a_mismatch(
    model: TrainedModel, exported: dict[str, bytes], model_format: str
) -> None:
    """An export of a differently calibrated model is refused."""
    other = CalibratedClassifier(model.classifier.network, model.temperature * 2)
    with pytest.raises(ExportMismatch, match=model_format):
        compare(exported[model_format], model_format, other, model.encoder, TEXTS)


def test_onnx_has_the_shapes_that_triton_is_reported(exported: dict[str, bytes]) -> None:
    """Batch, length and labels are symbolic, and ids are int32."""
    session = open_session(exported["onnx"])
    (given,), (answered,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type) == ("input_ids", "tensor(int32)")
    assert (answered.name, answered.type) == ("probabilities__0", "tensor(float)")
    assert [type(size) for size in (*given.shape, *answered.shape)] == [str, str, str, str]


def test_onnx_is_old_enough_for_the_container(exported: dict[str, bytes]) -> None:
    """Opset and IR are at most 21 and 10, for NVIDIA's images since 24.10 (ONNX Runtime 1.19)."""
    model = onnx.load_model_from_string(exported["onnx"])
    assert model.ir_version <= 10
    assert {opset.domain: opset.version for opset in model.opset_import}[""] <= 21


def test_only_a_training_that_asks_for_it_rounds(
    model: TrainedModel, exported: dict[str, bytes]
) -> None:
    """By default the record says so, and the file has no int8 weights."""
    assert (model.record.int8, model.unrounded) == (False, None)
    graph = onnx.load_model_from_string(exported["onnx"]).graph
    assert not [each for each in graph.initializer if each.data_type == onnx.TensorProto.INT8]


def test_ids_out_of_range_are_clamped(model: TrainedModel, exported: dict[str, bytes]) -> None:
    """Ids out of range get probabilities, too."""
    session = open_session(exported["onnx"])
    wild = np.array([[2**31 - 1] * 16, [-(2**31)] * 16], dtype=np.int32)
    (answer,) = session.run(None, {"input_ids": wild})
    assert np.allclose(answer.sum(axis=1), 1.0, atol=1e-5)
    with torch.no_grad():
        assert np.allclose(model.classifier(torch.from_numpy(wild)).numpy(), answer, atol=1e-4)
