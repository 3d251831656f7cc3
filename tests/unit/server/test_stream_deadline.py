"""How long an item of a stream waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
from tritonclient.grpc import service_pb2_grpc

from tests.integration.server.front import Workspace
from tests.integration.server.refusal import read
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.clock import system_clock
from tidemill_core.prediction_id import PredictionIdSigner, load_keys
from tidemill_core.settings import TaskSettings
from tidemill_core.triton.client import TritonClient
from tidemill_server.inference.admission import Admission
from tidemill_server.inference.coalescer import Coalescer
from tidemill_server.inference.predictor import Predictor
from tidemill_server.inference.router import Router
from tidemill_server.prediction_log import PredictionLog
from tidemill_server.services.prediction import PredictionServicer
from tidemill_server.services.stream_windows import StreamWindows
from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.tracing import NoTracing

TASKS = {"support": TaskSettings.model_validate({"sources": [{"path": "x.csv"}]})}


class SilentTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # untyped
    """Takes calls and answers none."""

    async def ModelInfer(self, request: object, context: object) -> None:  # noqa: N802 -- gRPC's
        """Wait for ever."""
        del request, context
        await asyncio.Event().wait()


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

    async def ask() -> pb.StreamPredictResponse:
        server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(SilentTriton(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        triton = TritonClient(f"127.0.0.1:{port}")
        router = Router(workspace.storage.models, workspace.repository, TASKS)
        await router.refresh()
        signer = PredictionIdSigner(load_keys(tmp_path / "var"))
        prediction_log = PredictionLog(workspace.storage.predictions, workspace.spool)
        metrics = Metrics(Labels((), (), ()), "test")
        predictor = Predictor(
            router,
            Coalescer(triton, metrics, NoTracing()),
            {"support": Admission(1.0)},
            signer,
            prediction_log,
            system_clock,
            metrics,
            lambda: 0.0,
        )
        store = workspace.storage.predictions
        servicer = PredictionServicer(predictor, store, signer, StreamWindows())
        async with asyncio.timeout(5):
            [answer] = [each async for each in servicer.StreamPredict(_items(), ShortCall())]
        await triton.close()
        await server.stop(0)
        return answer

    assert read(asyncio.run(ask()).error).code == "DEADLINE_EXCEEDED"
