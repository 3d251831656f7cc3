"""The coalescer after unexpected errors."""

import asyncio

from tests.integration.server.models import LABELS, LENGTH, tokenizer_json
from tests.plugins.triton import free_ports
from tidemill_core.errors import TritonUnavailable
from tidemill_core.text import TextEncoder
from tidemill_core.triton.client import TritonClient
from tidemill_server.inference.coalescer import MAX_IN_FLIGHT, MAX_ROWS_A_CALL, Coalescer
from tidemill_server.inference.router import ServedModel
from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.tracing import Tracing

CANNOT_BE_ENCODED = ["\ud800"] * MAX_ROWS_A_CALL


async def test_an_unexpected_error_keeps_nobody_else_waiting() -> None:
    """Batches that fail unexpectedly get their error, and queued ones go on."""
    encoder = TextEncoder(tokenizer_json(), LENGTH)
    model = ServedModel("support", "support-onnx", 1, LABELS, encoder, 0.0)
    [port] = free_ports(1)

    triton = TritonClient(f"127.0.0.1:{port}")
    coalescer = Coalescer(triton, Metrics(Labels((), (), ()), "test"), Tracing())
    deadline = asyncio.get_running_loop().time() + 30
    batches = [*[CANNOT_BE_ENCODED] * MAX_IN_FLIGHT, ["card"]]
    calls = [coalescer.submit(model, batch, deadline).answer for batch in batches]
    async with asyncio.timeout(10):
        *failed, last = await asyncio.gather(*calls, return_exceptions=True)
    await triton.close()
    assert {type(error) for error in failed} == {TypeError}
    assert isinstance(last, TritonUnavailable)  # it was called, but has no server
