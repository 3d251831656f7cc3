"""The stubs of all services on one channel, and how clients are created."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from tidemill.v1 import (
    access_service_pb2_grpc,
    dataset_service_pb2_grpc,
    feedback_service_pb2_grpc,
    job_service_pb2_grpc,
    labeling_service_pb2_grpc,
    model_service_pb2_grpc,
    monitoring_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tidemill_client.connection import (
    DEFAULT_ADDRESS,
    DEFAULT_KEEPALIVE_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    Connection,
    Tls,
    connection,
    seconds,
)
from tidemill_client.interceptors import ASYNC_SENDERS, SendMetadata

_Stub = TypeVar("_Stub")


class Client(ABC):
    """What both clients are made from: how to reach the server, and a timeout."""

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        api_key: str | None = None,
        tls: bool | Tls = False,
        insecure: bool = False,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        keepalive_seconds: float = DEFAULT_KEEPALIVE_SECONDS,
    ) -> None:
        """Create a client; it connects at the first call.

        Args:
            address: host:port of the server.
            api_key: an API key or a token; sent with every call.
            tls: whether the connection is encrypted; a `Tls` names the certificates.
            insecure: allow sending the API key unencrypted to another machine.
            timeout: seconds that each call of a method may take, infinity included; a call can
                have its own.
            keepalive_seconds: seconds of silence after which a connection with open calls is
                tested.

        Raises:
            ValueError: the API key would travel unencrypted, or is not a key; or a time is
                negative.
            OSError: a certificate's file cannot be read.
        """
        self._timeout = seconds("timeout", timeout)
        self._open(connection(address, api_key, tls, insecure, keepalive_seconds))

    @abstractmethod
    def _open(self, wanted: Connection) -> None:
        """Create what the calls need."""

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else seconds("timeout", timeout)


class Stubs(Client):
    """The generated stubs.

    Their methods take generated messages and a `timeout`, and raise grpc.RpcError; inside
    `translated_errors()` they raise TidemillError.

    Attributes:
        predictions: stub of PredictionService.
        feedback: stub of FeedbackService.
        labeling: stub of LabelingService.
        datasets: stub of DatasetService.
        models: stub of ModelService.
        monitoring: stub of MonitoringService.
        jobs: stub of JobService.
        access: stub of AccessService.
        health: stub of grpc.health.v1.Health; `tidemill.task.<task>` asks about one task.
    """

    def _open(self, wanted: Connection) -> None:
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
        self.access = access_service_pb2_grpc.AccessServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)


class _OnLoop(Generic[_Stub]):
    """A stub on the channel of the event loop that runs."""

    def __init__(self, kind: Callable[[grpc.aio.Channel], _Stub]) -> None:
        self._kind = kind

    def __get__(self, client: "AsyncStubs", _: type) -> _Stub:
        return client._stub(self._kind)


class AsyncStubs(Client):
    """The generated stubs for asyncio: those of `Stubs`, with calls that are awaited.

    The channel belongs to an event loop, so it is created when a stub is first used.
    """

    predictions = _OnLoop(prediction_service_pb2_grpc.PredictionServiceStub)
    feedback = _OnLoop(feedback_service_pb2_grpc.FeedbackServiceStub)
    labeling = _OnLoop(labeling_service_pb2_grpc.LabelingServiceStub)
    datasets = _OnLoop(dataset_service_pb2_grpc.DatasetServiceStub)
    models = _OnLoop(model_service_pb2_grpc.ModelServiceStub)
    monitoring = _OnLoop(monitoring_service_pb2_grpc.MonitoringServiceStub)
    jobs = _OnLoop(job_service_pb2_grpc.JobServiceStub)
    access = _OnLoop(access_service_pb2_grpc.AccessServiceStub)
    health = _OnLoop(health_pb2_grpc.HealthStub)

    def _open(self, wanted: Connection) -> None:
        self._wanted = wanted
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stubs: dict[Callable[..., Any], Any] = {}

    def _stub(self, kind: Callable[[grpc.aio.Channel], _Stub]) -> _Stub:
        """Return a stub on the channel of this event loop.

        Raises:
            RuntimeError: no event loop runs here, or not the one of the first call.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            message = "no event loop runs here: call the client in a coroutine (asyncio.run)"
            raise RuntimeError(message) from None
        if self._channel is None:
            self._channel, self._loop = self._opened(), loop
        if self._loop is not loop:
            raise RuntimeError("the client belongs to another event loop: create one in each loop")
        if kind not in self._stubs:
            self._stubs[kind] = kind(self._channel)
        found: _Stub = self._stubs[kind]
        return found

    def _opened(self) -> grpc.aio.Channel:
        wanted = self._wanted
        interceptors = [kind(wanted.metadata) for kind in ASYNC_SENDERS if wanted.metadata]
        if wanted.credentials is None:
            return grpc.aio.insecure_channel(
                wanted.address, wanted.options, interceptors=interceptors
            )
        return grpc.aio.secure_channel(
            wanted.address, wanted.credentials, wanted.options, interceptors=interceptors
        )

    async def _close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
