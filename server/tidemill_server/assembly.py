"""The front's composition root."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from tidemill_core.clock import Clock
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.log_policy import LogPolicy
from tidemill_core.model_repository import ModelRepository
from tidemill_core.model_uploads import ModelUploads
from tidemill_core.prediction_id import PredictionIdSigner, load_keys
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import Storage
from tidemill_core.text_hash import load_text_key
from tidemill_core.triton.client import TritonClient
from tidemill_server.gateway.server import HttpServer
from tidemill_server.handlers import Handlers
from tidemill_server.handlers.access import AccessHandler
from tidemill_server.handlers.dataset import DatasetHandler
from tidemill_server.handlers.feedback import FeedbackHandler
from tidemill_server.handlers.fetched_datasets import FetchedDatasets
from tidemill_server.handlers.held_feedback import HeldFeedbackHandler
from tidemill_server.handlers.job import JobHandler
from tidemill_server.handlers.job_parameters import ParameterRules
from tidemill_server.handlers.labeling import LabelingHandler
from tidemill_server.handlers.model import ModelHandler
from tidemill_server.handlers.model_import import ModelImporter
from tidemill_server.handlers.monitoring import MonitoringHandler
from tidemill_server.handlers.prediction import PredictionHandler
from tidemill_server.handlers.preference import PreferenceHandler
from tidemill_server.handlers.rollout import RolloutHandler
from tidemill_server.inference.admission import TaskAdmission
from tidemill_server.inference.answers import Answers
from tidemill_server.inference.coalescer import Coalescer
from tidemill_server.inference.load_watch import watch_load
from tidemill_server.inference.predictor import Predictor
from tidemill_server.inference.router import Router
from tidemill_server.prediction_log import PredictionLog
from tidemill_server.rpc.backlog import Backlog
from tidemill_server.rpc.drain import Drain
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.pipeline import Pipeline
from tidemill_server.rpc.record import Recorder
from tidemill_server.security.api_keys import ApiKeys
from tidemill_server.security.audit import Auditor
from tidemill_server.security.opening import Access, open_access
from tidemill_server.services.health import HealthServicer
from tidemill_server.services.inference_protocol import InferenceProtocol
from tidemill_server.services.pipeline import StreamWindows
from tidemill_server.services.table import method_table
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.opening import Telemetry
from tidemill_server.telemetry.outcome_counts import OutcomeCounts
from tidemill_server.telemetry.tracing import Tracing
from tidemill_server.transports.grpcio import GrpcioTransport
from tidemill_server.transports.h2corn import H2cornTransport
from tidemill_server.transports.room import Room
from tidemill_server.transports.transport import Transport

Watcher = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Front:
    """The parts of the process.

    Attributes:
        watchers: background tasks that run until the server stops.
    """

    transports: Sequence[Transport]
    router: Router
    api_keys: ApiKeys
    health: HealthServicer
    drain: Drain
    prediction_log: PredictionLog
    inference: InferenceProtocol
    coalescer: Coalescer
    watchers: list[Watcher]


def assemble(
    settings: Settings,
    storage: Storage,
    telemetry: Telemetry,
    clock: Clock,
    *,
    share_port: bool,
) -> Front:
    """Wire the front inside a running event loop.

    Args:
        settings: the workspace's settings.
        storage: the workspace's database.
        telemetry: metrics, traces and the access log.
        clock: the source of time.
        share_port: whether other workers listen on the same port.

    Raises:
        ConfigurationError: the keys for prediction ids or for tokens cannot be used.
    """
    keys = load_keys(settings.state_dir, settings.prediction_id_keys.get_secret_value())
    signer = PredictionIdSigner(keys)
    workers = settings.server.workers if share_port else 1
    access = open_access(settings, storage.api_keys, signer, workers)
    triton = TritonClient(settings.triton_target)
    router = Router(storage.models, ModelRepository.of_front(settings), settings.tasks)
    prediction_log = _prediction_log(settings, storage, telemetry.metrics)
    delay = settings.server.max_queue_delay_ms / 1000
    admissions = {task: TaskAdmission.of(delay) for task in settings.tasks}
    answers = Answers(signer, prediction_log, clock, telemetry.metrics)
    coalescer = Coalescer(triton, answers, admissions, telemetry.metrics, telemetry.tracing)
    predictor = Predictor(router, coalescer, admissions, telemetry.metrics)
    windows = StreamWindows()
    health = HealthServicer(router, triton, settings.tasks)
    inference = InferenceProtocol(settings.triton_target, admissions, windows, telemetry.metrics)
    drain = Drain()
    pipeline = _pipeline(access, Auditor(storage.audit, clock), drain, telemetry, Backlog(delay))
    handlers = _handlers(
        settings, storage, router, signer, predictor, triton, clock, telemetry.tracing
    )
    methods = method_table(handlers, windows, inference, health, settings.server.reflection)
    return Front(
        transports=_transports(settings, pipeline, methods, share_port),
        router=router,
        api_keys=access.api_keys,
        health=health,
        drain=drain,
        prediction_log=prediction_log,
        inference=inference,
        coalescer=coalescer,
        watchers=[
            *(router.watch, health.run, *access.watchers),
            partial(watch_load, admissions, coalescer, telemetry.metrics),
            *_watchers_of_metrics(telemetry, storage, clock),
        ],
    )


def _pipeline(
    access: Access, auditor: Auditor, drain: Drain, telemetry: Telemetry, backlog: Backlog
) -> Pipeline:
    """Return what holds for every call."""
    recorder = Recorder(telemetry.metrics, telemetry.tracing, telemetry.access_log)
    return Pipeline(access.gatekeeper, auditor, drain, access.open_streams, recorder, backlog)


def _watchers_of_metrics(telemetry: Telemetry, storage: Storage, clock: Clock) -> list[Watcher]:
    """Return the tasks that keep metrics and the database in step."""
    outcomes = OutcomeCounts(telemetry.metrics, storage.outcome_counts, clock)
    return [
        outcomes.run,
        partial(telemetry.signals.watch, storage.reports, storage.feedback, clock),
    ]


def _transports(
    settings: Settings, pipeline: Pipeline, methods: Mapping[str, Method], share_port: bool
) -> list[Transport]:
    """Return the server of gRPC and that of HTTP."""
    room = Room()
    grpc: Transport = (
        H2cornTransport(settings, pipeline, methods, room)
        if settings.server.transport == "h2corn"
        else GrpcioTransport(settings, pipeline, methods, share_port)
    )
    return [grpc, HttpServer(settings, pipeline, methods, room)]


def _prediction_log(settings: Settings, storage: Storage, metrics: Metrics) -> PredictionLog:
    return PredictionLog(
        storage.predictions,
        settings.state_dir / "spool",
        LogPolicy(settings.tasks, load_text_key(settings.state_dir)),
        settings.prediction_log,
        metrics,
    )


def _handlers(
    settings: Settings,
    storage: Storage,
    router: Router,
    signer: PredictionIdSigner,
    predictor: Predictor,
    triton: TritonClient,
    clock: Clock,
    tracing: Tracing,
) -> Handlers:
    return Handlers(
        prediction=PredictionHandler(predictor, router, storage.predictions, signer, tracing),
        feedback=FeedbackHandler(storage.feedback, signer, router, clock),
        held_feedback=HeldFeedbackHandler(storage.feedback_holds, router, clock),
        preference=PreferenceHandler(storage.preferences, router, clock),
        labeling=_labeling(settings, storage, router, clock),
        dataset=DatasetHandler(
            storage.datasets, FetchedDatasets(DatasetCopies.of(settings)), router
        ),
        model=ModelHandler(
            storage.models, router, clock, triton.all_ready, storage.pauses, storage.tracked_runs
        ),
        model_importer=ModelImporter(ModelUploads(settings.state_dir), storage.jobs, router, clock),
        rollout=RolloutHandler(storage.rollouts, storage.models, storage.jobs, router),
        monitoring=MonitoringHandler(
            storage.reports, storage.alerts, storage.silences, router, clock
        ),
        job=JobHandler(
            storage.jobs, ParameterRules(storage.models, settings.sagemaker), router, clock
        ),
        access=AccessHandler(storage.api_keys, storage.audit, router, clock),
    )


def _labeling(
    settings: Settings, storage: Storage, router: Router, clock: Clock
) -> LabelingHandler:
    labels = {task: each.labels for task, each in settings.tasks.items()}
    lease = timedelta(minutes=settings.labeling.lease_minutes)
    return LabelingHandler(storage.label_items, storage.datasets, router, labels, clock, lease)
