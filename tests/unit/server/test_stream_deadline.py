"""How long an item of a stream waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from tests.integration.server.front import Workspace
from tests.integration.server.refusal import read
from tests.plugins.fake_triton import FakeTriton, no_answer
from tests.unit.server.asking import asked
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.services.prediction import PredictionServicer
from tidemill_server.services.stream_windows import StreamWindows


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
            store = workspace.storage.predictions
            servicer = PredictionServicer(world.predictor, store, world.signer, StreamWindows())
            [answer] = [each async for each in servicer.StreamPredict(_items(), ShortCall())]
        return answer

    with FakeTriton() as triton:
        triton.behave("support-onnx", 1, no_answer)
        assert read(asyncio.run(ask(triton)).error).code == "DEADLINE_EXCEEDED"
