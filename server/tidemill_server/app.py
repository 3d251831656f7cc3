"""The gRPC server, assembled from handlers that are handed in."""

from dataclasses import dataclass

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection
from tritonclient.grpc import service_pb2 as inference_pb2

from tidemill.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    feedback_service_pb2,
    feedback_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    monitoring_service_pb2,
    monitoring_service_pb2_grpc,
    prediction_service_pb2,
    prediction_service_pb2_grpc,
)
from tidemill_core.errors import AlreadyRunning
from tidemill_server.interceptors.contract import ContractInterceptor
from tidemill_server.interceptors.drain import DrainInterceptor
from tidemill_server.services.dataset import DatasetServicer
from tidemill_server.services.feedback import FeedbackServicer
from tidemill_server.services.inference_protocol import InferenceProtocol
from tidemill_server.services.job import JobServicer
from tidemill_server.services.model import ModelServicer
from tidemill_server.services.monitoring import MonitoringServicer
from tidemill_server.services.prediction import PredictionServicer

MAX_MESSAGE_BYTES = 20 * 1024 * 1024
"""Room for 1,024 texts of 4,096 characters at four bytes each, and their answers."""
MAX_STREAMS_A_CONNECTION = 4096

_MODULES = (
    prediction_service_pb2,
    feedback_service_pb2,
    dataset_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    job_service_pb2,
    inference_pb2,
    health_pb2,
)


@dataclass(frozen=True)
class Servicers:
    """One servicer a service."""

    prediction: PredictionServicer
    feedback: FeedbackServicer
    dataset: DatasetServicer
    model: ModelServicer
    monitoring: MonitoringServicer
    job: JobServicer
    inference: InferenceProtocol
    health: health.HealthServicer


def build_server(servicers: Servicers, drain: DrainInterceptor) -> grpc.aio.Server:
    """A server with every service, health and reflection; without a port yet."""
    server = grpc.aio.server(
        interceptors=[drain, ContractInterceptor()],
        options=[
            # A second server on the same port must fail, not share it silently.
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_concurrent_streams", MAX_STREAMS_A_CONNECTION),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        servicers.prediction, server
    )
    feedback_service_pb2_grpc.add_FeedbackServiceServicer_to_server(servicers.feedback, server)
    dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(servicers.dataset, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(servicers.model, server)
    monitoring_service_pb2_grpc.add_MonitoringServiceServicer_to_server(
        servicers.monitoring, server
    )
    job_service_pb2_grpc.add_JobServiceServicer_to_server(servicers.job, server)
    server.add_generic_rpc_handlers((servicers.inference.handler(),))
    health_pb2_grpc.add_HealthServicer_to_server(servicers.health, server)
    names = [name for m in _MODULES for name in _services(m)]
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
    return server


def _services(module: object) -> list[str]:
    descriptor = module.DESCRIPTOR  # type: ignore[attr-defined]
    return [service.full_name for service in descriptor.services_by_name.values()]


def listen(server: grpc.aio.Server, host: str, port: int) -> None:
    """Bind the server's port.

    Raises:
        AlreadyRunning: something listens there already.
    """
    try:
        server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        message = f"port {port} on {host} is taken; set TIDEMILL_GRPC_PORT to a free one"
        raise AlreadyRunning(message) from error
