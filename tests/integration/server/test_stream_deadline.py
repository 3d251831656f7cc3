"""How long a text waits."""

import asyncio
import math
from collections.abc import AsyncIterator
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


def test_an_item_waits_no_longer_than_its_caller(tmp_path: Path) -> None:
    """Where Triton does not answer an item is given up with the call, not after 10 s."""
    workspace = Workspace(tmp_path, {"support": 1})

    async def ask(triton: FakeTriton) -> pb.StreamPredictResponse:
        async with asked(workspace, triton.address) as world, asyncio.timeout(5):
            servicer = PredictionServicer(world.handler, StreamWindows())
            [answer] = [each async for each in servicer.StreamPredict(_items(), ShortCall())]
        return answer

    with FakeTriton() as triton:
        triton.behave("support-onnx", 1, no_answer)
        assert read(asyncio.run(ask(triton)).error).code == "DEADLINE_EXCEEDED"


@dataclass
class PatientCall:
    """A call whose caller waits for a very long time."""

    seconds: float

    def time_remaining(self) -> float:
        """Seconds."""
        return self.seconds


@pytest.mark.parametrize("seconds", [math.inf, 1e10, 1e18])
def test_a_caller_may_wait_for_ever(tmp_path: Path, seconds: float) -> None:
    """A deadline centuries away is a long wait for Triton's answer, not one that has passed."""
    workspace = Workspace(tmp_path, {"support": 1})

    async def ask(triton: FakeTriton) -> pb.PredictResponse:
        async with asked(workspace, triton.address) as world, asyncio.timeout(5):
            servicer = PredictionServicer(world.handler, StreamWindows())
            request = pb.PredictRequest(task="support", text="card")
            return await servicer.Predict(request, PatientCall(seconds))

    with FakeTriton() as triton:
        assert asyncio.run(ask(triton)).prediction.label
