"""The gRPC server and the services on its port."""

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from tritonclient.grpc import service_pb2 as inference_pb2

from tidemill.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    feedback_service_pb2,
    feedback_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    labeling_service_pb2,
    labeling_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    monitoring_service_pb2,
    monitoring_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)
from tidemill_core.errors import AlreadyRunning
from tidemill_server.drain import CONNECTION_AGE_SECONDS
from tidemill_server.handlers import Handlers
from tidemill_server.interceptors.every_call import EveryCall
from tidemill_server.services.dataset import DatasetServicer
from tidemill_server.services.feedback import FeedbackServicer
from tidemill_server.services.inference_protocol import InferenceProtocol
from tidemill_server.services.job import JobServicer
from tidemill_server.services.labeling import LabelingServicer
from tidemill_server.services.model import ModelServicer
from tidemill_server.services.monitoring import MonitoringServicer
from tidemill_server.services.pipeline import StreamWindows
from tidemill_server.services.prediction import PredictionServicer

MAX_MESSAGE_BYTES = 20 * 1024 * 1024
"""Enough for 1,024 texts of 4,096 characters at 4 bytes each, and their answers."""
MAX_METADATA_BYTES = 16 * 1024
MAX_STREAMS_A_CONNECTION = 4096

SERVER_OPTIONS: tuple[tuple[str, int], ...] = (
    # Rolling restarts depend on it, and it spreads callers over the workers.
    ("grpc.max_connection_age_ms", int(CONNECTION_AGE_SECONDS * 1000)),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
    ("grpc.max_concurrent_streams", MAX_STREAMS_A_CONNECTION),
    # Without it, the streams of a caller whose connection broke would stay open.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.http2.ping_timeout_ms", 20_000),
    # Tidemill's clients send a ping every 30 s.
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
)

SERVICE_MODULES: tuple[Any, ...] = (
    prediction_service_pb2,
    feedback_service_pb2,
    labeling_service_pb2,
    dataset_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    job_service_pb2,
    inference_pb2,
    health_pb2,
)


def new_server(share_port: bool) -> grpc.aio.Server:
    """Return a server without services and without a port.

    Args:
        share_port: whether other processes may listen on the same port. If not, a second server
            on it fails instead of silently taking some of the calls.
    """
    return grpc.aio.server(options=[("grpc.so_reuseport", int(share_port)), *SERVER_OPTIONS])


def register(
    handlers: Handlers,
    windows: StreamWindows,
    inference: InferenceProtocol,
    health_servicer: health.HealthServicer,
    server: EveryCall,
    reflect: bool,
) -> None:
    """Register every service, health, and reflection if `reflect` is set."""
    prediction = PredictionServicer(handlers.prediction, windows)
    feedback = FeedbackServicer(handlers.feedback)
    labeling = LabelingServicer(handlers.labeling)
    dataset = DatasetServicer(handlers.dataset)
    model = ModelServicer(handlers.model, handlers.model_importer)
    monitoring = MonitoringServicer(handlers.monitoring)
    job = JobServicer(handlers.job)
    generated: tuple[tuple[Callable[[Any, Any], None], object], ...] = (
        (prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server, prediction),
        (feedback_service_pb2_grpc.add_FeedbackServiceServicer_to_server, feedback),
        (labeling_service_pb2_grpc.add_LabelingServiceServicer_to_server, labeling),
        (dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server, dataset),
        (model_service_pb2_grpc.add_ModelServiceServicer_to_server, model),
        (monitoring_service_pb2_grpc.add_MonitoringServiceServicer_to_server, monitoring),
        (job_service_pb2_grpc.add_JobServiceServicer_to_server, job),
        (health_pb2_grpc.add_HealthServicer_to_server, health_servicer),
    )
    for add, servicer in generated:
        add(servicer, server)
    server.add_registered_method_handlers(*inference.handlers())
    if reflect:
        services = [s for m in SERVICE_MODULES for s in m.DESCRIPTOR.services_by_name.values()]
        names = [*(service.full_name for service in services), reflection.SERVICE_NAME]
        reflector = reflection.aio.ReflectionServicer(names)
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflector, server)


def listen(
    server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None
) -> None:
    """Bind the server's port.

    Raises:
        AlreadyRunning: the port is taken.
    """
    try:
        if credentials is None:
            server.add_insecure_port(f"{host}:{port}")
        else:
            server.add_secure_port(f"{host}:{port}", credentials)
    except RuntimeError as error:
        message = f"port {port} on {host} is taken; set TIDEMILL_GRPC_PORT to a free one"
        raise AlreadyRunning(message) from error
