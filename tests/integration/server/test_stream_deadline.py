"""Deadlines of texts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.server.asking import asked
from tests.integration.server.front import Workspace
from tests.integration.server.refusal import read
from tests.plugins.fake_triton import FakeTriton, no_answer
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.services.pipeline import StreamWindows
from tidemill_server.services.prediction import PredictionServicer


@dataclass
class TimedCall:
    """A call whose caller waits for some seconds more."""

    seconds: float

    @property
    def deadline(self) -> float:
        """On the event loop's clock."""
        return asyncio.get_running_loop().time() + self.seconds


async def _items() -> AsyncIterator[pb.StreamPredictRequest]:
    yield pb.StreamPredictRequest(id="a", task="support", text="card")


@pytest.fixture
def triton() -> Iterator[FakeTriton]:
    """Healthy at first."""
    with FakeTriton() as running:
        yield running


@pytest.fixture
async def servicer(tmp_path: Path, triton: FakeTriton) -> AsyncIterator[PredictionServicer]:
    """Over that Triton."""
    async with asked(Workspace(tmp_path, {"support": 1}), triton.address) as world:
        yield PredictionServicer(world.handler, StreamWindows())


async def test_an_item_waits_no_longer_than_its_caller(
    servicer: PredictionServicer, triton: FakeTriton
) -> None:
    """If Triton does not answer, an item ends with its call, not after 10 s."""
    triton.behave("support-onnx", 1, no_answer)
    async with asyncio.timeout(9):
        [answer] = [each async for each in servicer.StreamPredict(_items(), TimedCall(0.2))]
    error = pb.StreamPredictResponse.FromString(answer).error
    assert read(error).code == "DEADLINE_EXCEEDED"
