"""Every service's stub, on one channel that may send metadata along with each call."""

from typing import TYPE_CHECKING

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from tidemill.v1 import (
    dataset_service_pb2_grpc,
    feedback_service_pb2_grpc,
    job_service_pb2_grpc,
    labeling_service_pb2_grpc,
    model_service_pb2_grpc,
    monitoring_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tidemill_client.connection import Connection
from tidemill_client.interceptors import ASYNC_SENDERS, SendMetadata

if TYPE_CHECKING:  # these classes are the type stubs' own
    from tidemill.v1.dataset_service_pb2_grpc import DatasetServiceAsyncStub
    from tidemill.v1.feedback_service_pb2_grpc import FeedbackServiceAsyncStub
    from tidemill.v1.job_service_pb2_grpc import JobServiceAsyncStub
    from tidemill.v1.labeling_service_pb2_grpc import LabelingServiceAsyncStub
    from tidemill.v1.model_service_pb2_grpc import ModelServiceAsyncStub
    from tidemill.v1.monitoring_service_pb2_grpc import MonitoringServiceAsyncStub
    from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceAsyncStub


class Stubs:
    """The generated stubs.

    Their methods take generated messages and a timeout of their own, and raise grpc.RpcError;
    inside `translated_errors()` they raise TidemillError as well.

    Attributes:
        predictions: stub of PredictionService.
        feedback: stub of FeedbackService.
        labeling: stub of LabelingService.
        datasets: stub of DatasetService.
        models: stub of ModelService.
        monitoring: stub of MonitoringService.
        jobs: stub of JobService.
        health: stub of grpc.health.v1.Health; `tidemill.task.<task>` asks about one task.
    """

    def __init__(self, wanted: Connection) -> None:
        if wanted.credentials is None:
            self._channel = grpc.insecure_channel(wanted.address, wanted.options)
        else:
            self._channel = grpc.secure_channel(wanted.address, wanted.credentials, wanted.options)
        channel = self._channel
        if wanted.metadata:
            channel = grpc.intercept_channel(channel, SendMetadata(wanted.metadata))
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.feedback = feedback_service_pb2_grpc.FeedbackServiceStub(channel)
        self.labeling = labeling_service_pb2_grpc.LabelingServiceStub(channel)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.monitoring = monitoring_service_pb2_grpc.MonitoringServiceStub(channel)
        self.jobs = job_service_pb2_grpc.JobServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)


class AsyncStubs:
    """The generated stubs for asyncio; as `Stubs`, with calls that are awaited."""

    def __init__(self, wanted: Connection) -> None:
        interceptors = [kind(wanted.metadata) for kind in ASYNC_SENDERS if wanted.metadata]
        if wanted.credentials is None:
            channel = grpc.aio.insecure_channel(
                wanted.address, wanted.options, interceptors=interceptors
            )
        else:
            channel = grpc.aio.secure_channel(
                wanted.address, wanted.credentials, wanted.options, interceptors=interceptors
            )
        self._channel = channel
        self.predictions: PredictionServiceAsyncStub = (
            prediction_service_pb2_grpc.PredictionServiceStub(channel)
        )
        self.feedback: FeedbackServiceAsyncStub = feedback_service_pb2_grpc.FeedbackServiceStub(
            channel
        )
        self.labeling: LabelingServiceAsyncStub = labeling_service_pb2_grpc.LabelingServiceStub(
            channel
        )
        self.datasets: DatasetServiceAsyncStub = dataset_service_pb2_grpc.DatasetServiceStub(
            channel
        )
        self.models: ModelServiceAsyncStub = model_service_pb2_grpc.ModelServiceStub(channel)
        self.monitoring: MonitoringServiceAsyncStub = (
            monitoring_service_pb2_grpc.MonitoringServiceStub(channel)
        )
        self.jobs: JobServiceAsyncStub = job_service_pb2_grpc.JobServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)
