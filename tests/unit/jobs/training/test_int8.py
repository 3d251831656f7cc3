"""Weights in int8."""

from typing import get_args

import numpy as np
import onnx
import pytest
import torch

from tidemill_core.settings.training import NetworkName
from tidemill_jobs.training.export import compare, export_onnx, open_export
from tidemill_jobs.training.int8 import rounded
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.tracking import Tracker
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

TEXTS = ["rain 3 and clouds", "", "sunny", "\0", "x" * 500, "no shade 😀"] * 10
LARGE = 4096


@pytest.fixture(scope="session", params=get_args(NetworkName))
def int8_model(
    request: pytest.FixtureRequest, data: TrainingData, recorder: Tracker
) -> TrainedModel:
    """A small model of each network, its weights in int8."""
    config = TrainingConfig(request.param, int8=True)
    return train(data, config, lambda _done, _message: None, recorder)


@pytest.fixture(scope="session")
def int8_file(int8_model: TrainedModel) -> bytes:
    """Its ONNX file."""
    return export_onnx(int8_model.classifier, int8_model.sequence_length)


def test_the_file_has_int8_weights_and_answers_as_the_rounded_module(
    int8_model: TrainedModel, int8_file: bytes
) -> None:
    """No large matrix is left in float32, and the measures are those of the rounded weights."""
    graph = onnx.load_model_from_string(int8_file).graph
    left = [
        each.name
        for each in graph.initializer
        if each.data_type == onnx.TensorProto.FLOAT
        and len(each.dims) == 2
        and min(each.dims) > 1
        and np.prod(each.dims) >= LARGE
    ]
    assert left == []
    assert compare(int8_file, "onnx", int8_model.classifier, int8_model.encoder, TEXTS) < 1e-4


def test_the_file_is_less_than_half(int8_model: TrainedModel, int8_file: bytes) -> None:
    """The weights alone take more than twice as much room in float32."""
    weights = sum(each.numel() for each in int8_model.classifier.network.parameters())
    assert 2 * len(int8_file) < 4 * weights


def test_an_answer_does_not_depend_on_its_batch(int8_model: TrainedModel, int8_file: bytes) -> None:
    """A text alone gets the answer that it gets among others."""
    answer, rows = open_export(int8_file, "onnx"), int8_model.encoder.encode(TEXTS[:6])
    alone = np.concatenate([answer(rows[number : number + 1]) for number in range(len(rows))])
    assert np.abs(answer(rows) - alone).max() < 1e-5


def test_weights_that_are_not_numbers_stay_so(model: TrainedModel) -> None:
    """Rounding does not hide NaN from the gates."""
    broken = rounded(model.classifier.network)
    with torch.no_grad():
        next(each for each in broken.parameters() if each.ndim == 2)[0, 0] = torch.nan
    again = rounded(broken)
    assert any(bool(each.isnan().any()) for each in again.parameters())
