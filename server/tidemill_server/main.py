"""The front's process: `python -m tidemill_server.main`."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Many small calls: the tokenizer's own threads would only get in each other's way.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# gRPC's newer event loop costs a server a fifth more CPU a call (docs/benchmarks).
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")

import grpc.aio
import structlog
import uvloop

from tidemill_core.clock import system_clock
from tidemill_core.errors import TidemillError
from tidemill_core.model_repository import ModelRepository
from tidemill_core.prediction_id import PredictionIdSigner, load_keys
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings, load_settings
from tidemill_core.storage.predictions import SHADOW_METHOD
from tidemill_core.storage.storage import Storage, open_storage
from tidemill_core.supervisor.child import RETIRE_SIGNAL
from tidemill_core.supervisor.readiness import tell_ready
from tidemill_core.telemetry import configure_logging
from tidemill_core.text_hash import load_text_key
from tidemill_core.triton.client import TritonClient
from tidemill_server.app import SERVICE_MODULES, Servicers, listen, new_server, register
from tidemill_server.arrival_probe import ArrivalProbe
from tidemill_server.drain import Drain
from tidemill_server.feedback_intake import FeedbackIntake
from tidemill_server.health import HealthWatch
from tidemill_server.inference.admission import Admission
from tidemill_server.inference.coalescer import Coalescer
from tidemill_server.inference.load_watch import watch_load
from tidemill_server.inference.predictor import Predictor
from tidemill_server.inference.router import Router
from tidemill_server.interceptors.every_call import EveryCall
from tidemill_server.interceptors.record import Recorder
from tidemill_server.prediction_log import LogPolicy, PredictionLog
from tidemill_server.security.api_keys import ApiKeys
from tidemill_server.security.audit import Auditor
from tidemill_server.security.exposure import authentication_required, check_exposure
from tidemill_server.security.gatekeeper import Gatekeeper
from tidemill_server.security.rate_limits import RateLimits
from tidemill_server.security.tls import server_credentials
from tidemill_server.security.tokens import Tokens
from tidemill_server.services.dataset import DatasetServicer
from tidemill_server.services.feedback import FeedbackServicer
from tidemill_server.services.inference_protocol import InferenceProtocol
from tidemill_server.services.job import JobServicer
from tidemill_server.services.model import ModelServicer
from tidemill_server.services.monitoring import MonitoringServicer
from tidemill_server.services.prediction import PREDICTION_METHODS, PredictionServicer
from tidemill_server.services.stream_windows import StreamWindows
from tidemill_server.telemetry.access_log import AccessLog
from tidemill_server.telemetry.labels import Labels, methods_of
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.metrics_endpoint import MetricsEndpoint
from tidemill_server.telemetry.tracing import Tracing, open_tracing

SHARE_PORTS = "--share-ports"
"""Argument: other workers listen on the same ports."""
WORKERS_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that names the folder in which several workers share their metrics."""

log = structlog.get_logger()

Watcher = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Telemetry:
    """What tells how the front does."""

    metrics: Metrics
    endpoint: MetricsEndpoint
    tracing: Tracing
    access_log: AccessLog

    def close(self) -> None:
        """Write what is left, and stop listening."""
        self.tracing.close()
        self.access_log.close()
        self.endpoint.close()


@dataclass
class Front:
    """What the process is made of.

    Attributes:
        watchers: what runs beside the server for ever.
    """

    server: grpc.aio.Server
    probe: ArrivalProbe
    router: Router
    api_keys: ApiKeys
    health: HealthWatch
    drain: Drain
    prediction_log: PredictionLog
    inference: InferenceProtocol
    triton: TritonClient
    watchers: list[Watcher]


def open_telemetry(settings: Settings) -> Telemetry:
    """Metrics, traces and the access log.

    Raises:
        AlreadyRunning: the metrics' port is taken.
        ConfigurationError: a setting cannot be used.
    """
    release = version("tidemill")
    methods = (*PREDICTION_METHODS, SHADOW_METHOD)
    metrics = Metrics(Labels(methods_of(SERVICE_MODULES), methods, settings.tasks), release)
    folder = os.environ.get(WORKERS_METRICS)
    endpoint = MetricsEndpoint(metrics, Path(folder) if folder else None)
    endpoint.start(settings.metrics_host, settings.metrics_port)
    tracing = open_tracing(settings.tracing, release)
    access_log = AccessLog(settings.state_dir / "logs" / "access.log", metrics)
    return Telemetry(metrics, endpoint, tracing, access_log)


def assemble(settings: Settings, storage: Storage, telemetry: Telemetry) -> Front:
    """Wire the front; the event loop runs already.

    Raises:
        AlreadyRunning: the port is taken.
        ConfigurationError: keys, certificates or tokens cannot be used.
    """
    metrics = telemetry.metrics
    signer = PredictionIdSigner(load_keys(settings.state_dir, settings.prediction_id_keys.get_secret_value()))
    triton = TritonClient(settings.triton_address)
    repository = ModelRepository(settings.model_repository)
    router = Router(storage.models, repository, settings.tasks)
    policy = LogPolicy(settings.tasks, load_text_key(settings.state_dir))
    prediction_log = PredictionLog(
        storage.predictions,
        settings.state_dir / "spool",
        policy,
        settings.prediction_log,
        metrics,
    )
    delay = settings.server.max_queue_delay_ms / 1000
    admissions = {task: Admission(delay) for task in settings.tasks}
    coalescer = Coalescer(triton, metrics, telemetry.tracing)
    server = new_server(share_port=SHARE_PORTS in sys.argv[1:])
    probe = ArrivalProbe(server)
    predictor = Predictor(
        router,
        coalescer,
        admissions,
        signer,
        prediction_log,
        system_clock,
        metrics,
        lambda: probe.seconds,
    )
    windows = StreamWindows()
    health = HealthWatch(router, triton, settings.tasks)
    inference = InferenceProtocol(settings.triton_address, admissions, windows)
    drain = Drain(settings.grpc_port)
    api_keys = ApiKeys(storage.api_keys)
    tokens = Tokens(settings.auth) if settings.auth.jwks else None
    gatekeeper = Gatekeeper(
        api_keys,
        tokens,
        RateLimits(settings.server.workers),
        signer,
        is_required=authentication_required(settings),
    )
    recorder = Recorder(metrics, telemetry.tracing, telemetry.access_log)
    auditor = Auditor(storage.audit, system_clock)
    register(
        Servicers(
            prediction=PredictionServicer(predictor, storage.predictions, signer, windows),
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
        EveryCall(server, gatekeeper, auditor, drain, recorder),
        settings.server.reflection,
    )
    watch = partial(watch_load, admissions, coalescer, metrics)
    watchers: list[Watcher] = [router.watch, health.run, watch, api_keys.watch, probe.watch]
    if tokens is not None:
        tokens.open()
        watchers.append(tokens.watch)
    return Front(
        server,
        probe,
        router,
        api_keys,
        health,
        drain,
        prediction_log,
        inference,
        triton,
        watchers,
    )


async def serve(settings: Settings, storage: Storage, telemetry: Telemetry) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        AlreadyRunning: the port is taken.
        ConfigurationError: keys, certificates or tokens cannot be used.
    """
    stopping, retiring = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(RETIRE_SIGNAL, retiring.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    front = assemble(settings, storage, telemetry)
    await front.router.refresh()
    await front.api_keys.refresh()
    await front.health.open()
    # Only now: connections wait from here on until the server has started.
    credentials = server_credentials(settings.tls)
    listen(front.server, settings.grpc_host, settings.grpc_port, credentials)
    await front.server.start()
    tell_ready()
    log.info("listening", address=f"{settings.grpc_host}:{settings.grpc_port}")
    check_exposure(settings)
    watchers = [asyncio.create_task(watcher()) for watcher in front.watchers]
    writer = asyncio.create_task(front.prediction_log.run())
    stopped = asyncio.create_task(stopping.wait())
    retired = asyncio.create_task(_retired(retiring, front.drain))
    # A watcher never ends; should one fail, the process ends and is started again.
    ends = [stopped, retired, writer, *watchers]
    ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    retired.cancel()
    log.info("draining")
    await front.health.drain()
    await front.drain.drain(front.server)
    for watcher in watchers:
        watcher.cancel()
    front.prediction_log.close()
    await writer
    await asyncio.gather(*watchers, return_exceptions=True)
    front.probe.close()
    await front.inference.close()
    await front.triton.close()
    for each in ended:
        each.result()  # raises what a watcher failed with
    log.info("stopped")


async def _retired(asked: asyncio.Event, drain: Drain) -> None:
    await asked.wait()
    await drain.retire()


def main() -> int:
    """Run the process; its exit code."""
    configure_logging("server")
    keep_files_private()
    try:
        settings = load_settings()
        storage = open_storage(settings.effective_database_url)
        telemetry = open_telemetry(settings)
        try:
            uvloop.run(serve(settings, storage, telemetry))
        finally:
            telemetry.close()
    except TidemillError as error:
        log.error("cannot_serve", reason=error.reason, detail=error.detail or str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
