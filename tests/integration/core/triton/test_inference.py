"""Inference through Triton."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import until
from tidemill_core.errors import (
    DeadlineExceeded,
    ModelOutputInvalid,
    ModelVersionNotServed,
    TritonUnavailable,
)
from tidemill_core.triton.client import TritonClient
from tidemill_core.triton.config import ModelConfig, ModelFormat, write_config
from tidemill_core.triton.control import TritonControl

LENGTH = 6  # ids in a row of each model in this folder


@pytest.fixture
async def client(triton: RunningTriton) -> AsyncIterator[TritonClient]:
    """Return the front's connection."""
    made = TritonClient(triton.grpc_address)
    yield made
    await made.close()


@pytest.mark.parametrize("model_format", ["onnx", "torchscript"])
async def test_answers_are_those_of_the_model_offline(
    client: TritonClient,
    control: TritonControl,
    publish: Any,
    configure: Any,
    token_ids: Any,
    model_format: ModelFormat,
) -> None:
    """With both formats and both clients, answers are the model's own probabilities."""
    name = f"exact-{model_format}"
    model = publish(name, 1, model_format=model_format)
    configure(name, 1, model_format=model_format)
    control.load(name)
    for rows in (1, 5, 128):
        ids = token_ids(rows)
        answer = await client.infer(name, 1, ids, 5)
        np.testing.assert_allclose(answer, model.offline(ids), atol=1e-5)
        np.testing.assert_array_equal(control.infer(name, 1, ids), answer)


def test_versions_may_differ_in_their_labels(
    control: TritonControl, publish: Any, configure: Any, token_ids: Any
) -> None:
    """Two versions of one model, with 4 and 9 labels, are served at once."""
    publish("labels-onnx", 1, labels=4)
    publish("labels-onnx", 2, labels=9)
    configure("labels-onnx", 1, 2)
    control.load("labels-onnx")
    shapes = [control.infer("labels-onnx", version, token_ids(3)).shape for version in (1, 2)]
    assert shapes == [(3, 4), (3, 9)]


async def test_concurrent_rows_are_merged_and_each_gets_its_own_answer(
    triton: RunningTriton,
    control: TritonControl,
    publish: Any,
    configure: Any,
    token_ids: Any,
) -> None:
    """400 single rows from two connections need at most half as many model runs."""
    model = publish("merge-onnx", 1)
    configure("merge-onnx", 1)
    control.load("merge-onnx")
    ids = token_ids(400)

    clients = [TritonClient(triton.grpc_address) for _ in range(2)]
    calls = [
        clients[row % 2].infer("merge-onnx", 1, ids[row : row + 1], 20) for row in range(len(ids))
    ]
    answers = await asyncio.gather(*calls)
    for client in clients:
        await client.close()
    np.testing.assert_allclose(np.concatenate(answers), model.offline(ids), atol=1e-5)
    await until(  # Triton counts a moment after its answer
        lambda: triton.statistics("merge-onnx").inference_count == len(ids),
        "Triton counts all rows",
    )
    assert triton.statistics("merge-onnx").execution_count <= len(ids) / 2


@pytest.mark.parametrize(("name", "version"), [("known-onnx", 9), ("known-onnx", 2), ("none", 1)])
async def test_a_version_that_is_not_served_is_named(
    client: TritonClient,
    control: TritonControl,
    publish: Any,
    configure: Any,
    token_ids: Any,
    repository: Any,
    name: str,
    version: int,
) -> None:
    """An unknown version, a removed version and an unknown model are ModelVersionNotServed."""
    if not (repository / "known-onnx").exists():
        publish("known-onnx", 1)
        publish("known-onnx", 2)
    configure("known-onnx", 1, 2)
    control.load("known-onnx")
    configure("known-onnx", 1)
    control.load("known-onnx")
    with pytest.raises(ModelVersionNotServed, match=f"version {version} of '{name}'"):
        await client.infer(name, version, token_ids(1), 5)
    assert not await client.model_ready(name, version)
    assert await client.model_ready("known-onnx", 1)


async def test_nan_is_no_answer(
    client: TritonClient,
    control: TritonControl,
    repository: Any,
    publish: Any,
    configure: Any,
    token_ids: Any,
) -> None:
    """Both clients refuse a model's NaN output."""
    model = publish("nan-onnx", 1)
    model.weights[:] = np.nan
    model.write_onnx(repository / "nan-onnx" / "1" / "model.onnx")
    configure("nan-onnx", 1)
    control.load("nan-onnx")
    with pytest.raises(ModelOutputInvalid, match="NaN"):
        await client.infer("nan-onnx", 1, token_ids(2), 5)
    with pytest.raises(ModelOutputInvalid, match="NaN"):
        control.infer("nan-onnx", 1, token_ids(2))


async def test_a_failed_run_is_an_error_and_the_model_lives_on(
    client: TritonClient, control: TritonControl, publish: Any, configure: Any, token_ids: Any
) -> None:
    """An id outside the table, in a graph that does not clamp, fails only its own call."""
    publish("fails-onnx", 1)
    configure("fails-onnx", 1)
    control.load("fails-onnx")
    outside = token_ids(1) + 1000
    with pytest.raises(ModelOutputInvalid, match="out of"):
        await client.infer("fails-onnx", 1, outside, 5)
    assert control.infer("fails-onnx", 1, token_ids(1)).shape == (1, 4)


async def test_a_request_that_fails_costs_none_that_it_is_merged_with(
    triton: RunningTriton,
    client: TritonClient,
    control: TritonControl,
    publish: Any,
    configure: Any,
    token_ids: Any,
) -> None:
    """Of 400 calls at once, every second one fails with its own error, and the others succeed."""
    model = publish("merged-failure-onnx", 1)
    configure("merged-failure-onnx", 1)
    control.load("merged-failure-onnx")
    inside = token_ids(1)
    rows = [inside, inside + 1000] * 200
    calls = [client.infer("merged-failure-onnx", 1, row, 20) for row in rows]
    outcomes: list[BaseException | Any] = await asyncio.gather(*calls, return_exceptions=True)
    for answer in outcomes[::2]:
        np.testing.assert_allclose(answer, model.offline(inside), atol=1e-5)
    assert {type(failure) for failure in outcomes[1::2]} == {ModelOutputInvalid}
    assert all("element out of data bounds" in str(failure) for failure in outcomes[1::2])
    assert triton.process.poll() is None


def write_slow_model(path: Path, width: int = 1500, layers: int = 40) -> None:
    """Write a model.onnx that takes some tens of milliseconds per row."""
    random = np.random.default_rng(0)
    sizes = {"first": (LENGTH, width), "layer": (width, width)}
    weights = {name: random.normal(0, 0.01, size).astype("f4") for name, size in sizes.items()}
    nodes = [helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("MatMul", ["ids", "first"], ["h0"])]
    for layer in range(layers):
        nodes += [helper.make_node("MatMul", [f"h{layer}", "layer"], [f"h{layer + 1}"])]
    nodes += [helper.make_node("Softmax", [f"h{layers}"], ["probabilities__0"], axis=1)]
    graph = helper.make_graph(
        nodes,
        "slow",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["batch", "length"])],
        [helper.make_tensor_value_info("probabilities__0", TensorProto.FLOAT, ["batch", width])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


async def test_time_that_is_up_ends_the_call_and_its_wait_in_the_queue(
    client: TritonClient,
    control: TritonControl,
    triton: RunningTriton,
    repository: Path,
    publish: Any,
    token_ids: Any,
) -> None:
    """Calls past their deadline are DeadlineExceeded, and Triton drops them without a run."""
    calls = 200
    publish("slow-onnx", 1)
    write_slow_model(repository / "slow-onnx" / "1" / "model.onnx")
    write_config(repository, ModelConfig("slow-onnx", "onnx", (1,), max_batch_size=1))
    control.load("slow-onnx")
    await client.infer("slow-onnx", 1, token_ids(1), 10)
    waiting = [client.infer("slow-onnx", 1, token_ids(1), 0.3) for _ in range(calls)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    errors = [each for each in outcomes if isinstance(each, BaseException)]
    assert errors
    assert all(isinstance(each, DeadlineExceeded) for each in errors)
    control.infer("slow-onnx", 1, token_ids(1))  # runs after the rest of the queue
    statistics = triton.statistics("slow-onnx")
    failures = statistics.inference_stats.fail.count
    assert failures > 0
    assert statistics.execution_count + failures <= calls + 2


async def test_no_triton_is_noticed_at_once(token_ids: Any) -> None:
    """Without a listener, a call fails long before its deadline, and nothing is ready."""
    nowhere = "127.0.0.1:1"
    started = time.monotonic()
    client = TritonClient(nowhere)
    with pytest.raises(TritonUnavailable) as caught:
        await client.infer("any", 1, token_ids(1), 30)
    assert not await client.model_ready("any", 1)
    await client.close()
    assert nowhere in caught.value.detail
    assert time.monotonic() - started < 5
