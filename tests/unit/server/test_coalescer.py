"""The coalescer after unexpected errors."""

import asyncio
from pathlib import Path

from tests.integration.server.asking import asked
from tests.integration.server.front import Workspace
from tests.integration.server.models import LABELS, LENGTH, tokenizer_json
from tests.plugins.triton import free_ports
from tidemill_core.errors import TritonUnavailable
from tidemill_core.text import TextEncoder
from tidemill_server.inference.coalescer import MAX_IN_FLIGHT, MAX_ROWS_A_WORK
from tidemill_server.inference.query import BATCH_METHOD, UNARY_METHOD, Query
from tidemill_server.inference.router import ServedModel

CANNOT_BE_ENCODED = ["\ud800"] * MAX_ROWS_A_WORK


def model_that_is_away() -> ServedModel:
    """Return a model whose calls fail, as no server has it."""
    encoder = TextEncoder(tokenizer_json(), LENGTH)
    return ServedModel("support", "support-onnx", 1, LABELS, encoder, 0.0)


async def test_an_unexpected_error_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """Batches that fail unexpectedly get their error, and queued ones go on."""
    model = model_that_is_away()
    [port] = free_ports(1)
    async with asked(Workspace(tmp_path, {"support": 1}), f"127.0.0.1:{port}") as world:
        now = asyncio.get_running_loop().time()
        query = Query("support", BATCH_METHOD, now + 30, now)
        batches = [*[CANNOT_BE_ENCODED] * 2 * MAX_IN_FLIGHT, ["card"]]
        calls = [world.coalescer.submit(model, query, batch, 1.0).answer for batch in batches]
        async with asyncio.timeout(10):
            *failed, last = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in failed} == {TypeError}
    assert isinstance(last, TritonUnavailable)  # it was called, but has no server


async def test_batches_go_on_beside_unary_calls(tmp_path: Path) -> None:
    """Batches that rest for unary calls are sent in the end, one small call after another."""
    model = model_that_is_away()
    [port] = free_ports(1)
    async with asked(Workspace(tmp_path, {"support": 1}), f"127.0.0.1:{port}") as world:
        now = asyncio.get_running_loop().time()
        unary, batch = (Query("support", m, now + 30, now) for m in (UNARY_METHOD, BATCH_METHOD))
        calls = [world.coalescer.submit(model, unary, ["card"], 1.0).answer]
        texts = ["card"] * MAX_ROWS_A_WORK
        calls += [world.coalescer.submit(model, batch, texts, 1.0).answer for _ in range(4)]
        async with asyncio.timeout(10):
            failed = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in failed} == {TritonUnavailable}
