"""The table of all methods on the port."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from tidemill.v1 import (
    access_service_pb2,
    dataset_service_pb2,
    feedback_service_pb2,
    job_service_pb2,
    labeling_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    prediction_service_pb2,
)
from tidemill_server.handlers import Handlers
from tidemill_server.rpc.methods import Method, behaviors_of, methods_of
from tidemill_server.services.access import AccessServicer
from tidemill_server.services.dataset import DatasetServicer
from tidemill_server.services.feedback import FeedbackServicer
from tidemill_server.services.health import HealthServicer
from tidemill_server.services.inference_protocol import InferenceProtocol
from tidemill_server.services.job import JobServicer
from tidemill_server.services.labeling import LabelingServicer
from tidemill_server.services.model import ModelServicer
from tidemill_server.services.monitoring import MonitoringServicer
from tidemill_server.services.pipeline import StreamWindows
from tidemill_server.services.prediction import PredictionServicer
from tidemill_server.services.triton_calls import SERVICE as INFERENCE

_OURS: tuple[tuple[Any, str], ...] = (
    (prediction_service_pb2, "PredictionService"),
    (feedback_service_pb2, "FeedbackService"),
    (labeling_service_pb2, "LabelingService"),
    (dataset_service_pb2, "DatasetService"),
    (model_service_pb2, "ModelService"),
    (monitoring_service_pb2, "MonitoringService"),
    (job_service_pb2, "JobService"),
    (access_service_pb2, "AccessService"),
    (health_pb2, "Health"),
)
SERVICES = (*(module.DESCRIPTOR.services_by_name[name] for module, name in _OURS), INFERENCE)
"""The descriptors of all services but reflection."""
REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
_LARGE = ("BatchPredict", "ImportModelVersion", "ModelInfer", "ModelStreamInfer")


def method_table(
    handlers: Handlers,
    windows: StreamWindows,
    inference: InferenceProtocol,
    health: HealthServicer,
    reflect: bool,
) -> Mapping[str, Method]:
    """Return every method by its path, with reflection if `reflect` is set."""
    servicers = (
        PredictionServicer(handlers.prediction, windows),
        FeedbackServicer(handlers.feedback, handlers.held_feedback, handlers.preference),
        LabelingServicer(handlers.labeling),
        DatasetServicer(handlers.dataset),
        ModelServicer(handlers.model, handlers.model_importer, handlers.rollout),
        MonitoringServicer(handlers.monitoring),
        JobServicer(handlers.job),
        AccessServicer(handlers.access),
        health,
    )
    table = methods_of(INFERENCE, inference.behaviors(), _LARGE)
    for service, servicer in zip(SERVICES, servicers, strict=False):
        table |= methods_of(service, behaviors_of(service, servicer), _LARGE)
    if reflect:
        names = [*(service.full_name for service in SERVICES), REFLECTION.full_name]
        reflector = reflection.aio.ReflectionServicer(names)
        for path, method in methods_of(REFLECTION, behaviors_of(REFLECTION, reflector)).items():
            v1 = path.replace(".v1alpha.", ".v1.")  # its messages have the same bytes
            table |= {path: method, v1: replace(method, path=v1)}
    return table
