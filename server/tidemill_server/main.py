"""The front's process: `python -m tidemill_server.main`."""

import asyncio
import os
import signal
import sys

# Many small calls: the tokenizer's own threads would only get in each other's way.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import structlog
import uvloop

from tidemill_core.clock import system_clock
from tidemill_core.errors import TidemillError
from tidemill_core.model_repository import ModelRepository
from tidemill_core.prediction_id import PredictionIdSigner, load_keys
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings, load_settings
from tidemill_core.storage.storage import Storage, open_storage
from tidemill_core.telemetry import configure_logging
from tidemill_core.triton.client import TritonClient
from tidemill_server.app import Servicers, build_server, listen
from tidemill_server.feedback_intake import FeedbackIntake
from tidemill_server.health import HealthWatch
from tidemill_server.inference.coalescer import Coalescer
from tidemill_server.inference.predictor import Predictor
from tidemill_server.inference.router import Router
from tidemill_server.interceptors.drain import DrainInterceptor
from tidemill_server.prediction_log import PredictionLog
from tidemill_server.services.dataset import DatasetServicer
from tidemill_server.services.feedback import FeedbackServicer
from tidemill_server.services.inference_protocol import InferenceProtocol
from tidemill_server.services.job import JobServicer
from tidemill_server.services.model import ModelServicer
from tidemill_server.services.monitoring import MonitoringServicer
from tidemill_server.services.prediction import PredictionServicer

DRAIN_SECONDS = 10.0

log = structlog.get_logger()


async def serve(settings: Settings, storage: Storage) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        AlreadyRunning: the port is taken.
        ConfigurationError: the signing keys cannot be used.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    signer = PredictionIdSigner(load_keys(settings.state_dir))
    triton = TritonClient(settings.triton_address)
    repository = ModelRepository(settings.model_repository)
    router = Router(storage.models, repository, settings.tasks)
    prediction_log = PredictionLog(storage.predictions, settings.state_dir / "spool")
    predictor = Predictor(router, Coalescer(triton), signer, prediction_log, system_clock)
    health = HealthWatch(router, triton, settings.tasks)
    inference = InferenceProtocol(settings.triton_address, settings.tasks)
    drain = DrainInterceptor()
    server = build_server(
        Servicers(
            prediction=PredictionServicer(predictor, storage.predictions, signer),
            feedback=FeedbackServicer(
                FeedbackIntake(signer, router, system_clock), storage.feedback
            ),
            dataset=DatasetServicer(storage.datasets),
            model=ModelServicer(storage.models, router, system_clock),
            monitoring=MonitoringServicer(storage.reports, system_clock),
            job=JobServicer(storage.jobs, router, system_clock),
            inference=inference,
            health=health.servicer,
        ),
        drain,
    )
    listen(server, settings.grpc_host, settings.grpc_port)
    await router.refresh()
    await server.start()
    log.info("listening", address=f"{settings.grpc_host}:{settings.grpc_port}")
    watchers = [asyncio.create_task(router.watch()), asyncio.create_task(health.run())]
    writer = asyncio.create_task(prediction_log.run())
    stopped = asyncio.create_task(stopping.wait())
    # A watcher never ends; should one fail, the process ends and is started again.
    ended, _ = await asyncio.wait([stopped, writer, *watchers], return_when=asyncio.FIRST_COMPLETED)
    log.info("draining")
    await health.drain()
    await drain.drain()
    await server.stop(DRAIN_SECONDS)
    for watcher in watchers:
        watcher.cancel()
    prediction_log.close()
    await writer
    await asyncio.gather(*watchers, return_exceptions=True)
    await inference.close()
    await triton.close()
    for each in ended:
        each.result()  # raises what a watcher failed with
    log.info("stopped")


def main() -> int:
    """Run the process; its exit code."""
    configure_logging("server")
    keep_files_private()
    try:
        settings = load_settings()
        storage = open_storage(settings.effective_database_url)
        uvloop.run(serve(settings, storage))
    except TidemillError as error:
        log.error("cannot_serve", reason=error.reason, detail=error.detail or str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
