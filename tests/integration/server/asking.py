"""A prediction handler without a front, over a test's Triton."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.integration.server.front import Workspace
from tidemill_core.clock import system_clock
from tidemill_core.prediction_id import PredictionIdSigner, load_keys
from tidemill_core.settings import TaskSettings
from tidemill_core.triton.client import TritonClient
from tidemill_server.handlers.prediction import PredictionHandler
from tidemill_server.inference.admission import TaskAdmission
from tidemill_server.inference.answers import Answers
from tidemill_server.inference.coalescer import Coalescer
from tidemill_server.inference.predictor import Predictor
from tidemill_server.inference.router import Router
from tidemill_server.prediction_log import PredictionLog
from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.tracing import Tracing

TASKS = {"support": TaskSettings.model_validate({"sources": [{"path": "x.csv"}]})}


@dataclass
class Asked:
    """A handler of the task `support`, and what tests observe of it."""

    handler: PredictionHandler
    coalescer: Coalescer
    admission: TaskAdmission
    metrics: Metrics


@contextlib.asynccontextmanager
async def asked(
    workspace: Workspace, triton_address: str, max_queue_delay: float = 1.0
) -> AsyncIterator[Asked]:
    """Yield a handler on this event loop, with the current routes."""
    triton = TritonClient(triton_address)
    router = Router(workspace.storage.models, workspace.repository, TASKS)
    await router.refresh()
    signer = PredictionIdSigner(load_keys(workspace.folder / "var"))
    metrics = Metrics(Labels((), ("Predict", "BatchPredict", "StreamPredict"), TASKS), "test")
    admission = TaskAdmission.of(max_queue_delay)
    log = PredictionLog(workspace.storage.predictions, workspace.spool)
    answers = Answers(signer, log, system_clock, metrics)
    admissions = {"support": admission}
    coalescer = Coalescer(triton, answers, admissions, metrics, Tracing())
    predictor = Predictor(router, coalescer, admissions, metrics)
    handler = PredictionHandler(predictor, router, workspace.storage.predictions, signer, Tracing())
    yield Asked(handler, coalescer, admission, metrics)
    await triton.close()
