"""Deadlines of texts."""

import asyncio
import math
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


class ShortCall:
    """A call whose caller waits for 0.2 s more."""

    def time_remaining(self) -> float:
        """Seconds."""
        return 0.2


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
    async with asyncio.timeout(5):
        [answer] = [each async for each in servicer.StreamPredict(_items(), ShortCall())]
    assert read(answer.error).code == "DEADLINE_EXCEEDED"


@dataclass
class PatientCall:
    """A call whose caller waits for a very long time."""

    seconds: float

    def time_remaining(self) -> float:
        """Seconds."""
        return self.seconds


@pytest.mark.parametrize("seconds", [math.inf, 1e10, 1e18])
async def test_a_caller_may_wait_for_ever(servicer: PredictionServicer, seconds: float) -> None:
    """A deadline centuries ahead is a long wait, not one that has passed."""
    request = pb.PredictRequest(task="support", text="card")
    async with asyncio.timeout(5):
        answer = await servicer.Predict(request, PatientCall(seconds))
    assert answer.prediction.label
