"""Model control and measurement of a Triton, for the jobs: synchronous, and holding the key."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tidemill_core.errors import DeadlineExceeded, ModelLoadFailed, TritonUnavailable
from tidemill_core.triton import calls
from tidemill_core.triton.embedded import CONTROL_KEY_HEADER

_CALL_TIMEOUT_SECONDS = 10.0
_LOAD_TIMEOUT_SECONDS = 120.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class VersionStatistics:
    """What one version has done since it was loaded.

    Attributes:
        row_count: Rows answered.
        execution_count: Model runs that answered them; fewer than rows where batches merged.
        success_count: Requests answered.
        failure_count: Requests refused or failed.
        success_nanoseconds: Time in Triton of all answered requests together.
        queue_nanoseconds: The part of it spent waiting for a batch.
    """

    row_count: int
    execution_count: int
    success_count: int
    failure_count: int
    success_nanoseconds: int
    queue_nanoseconds: int


class TritonControl:
    """One connection to one Triton; a context manager that closes it."""

    def __init__(self, grpc_address: str, key: str) -> None:
        self._address = grpc_address
        self._metadata = ((f"triton-grpc-protocol-{CONTROL_KEY_HEADER}", key),)
        options = calls.channel_options(grpc_address)
        self._channel = grpc.insecure_channel(grpc_address, options=options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def wait_ready(self, timeout_seconds: float) -> None:
        """Return once Triton answers calls.

        Raises:
            TritonUnavailable: It did not within the time.
        """
        deadline = time.monotonic() + timeout_seconds
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise TritonUnavailable(self._address, f"not ready within {timeout_seconds:g} s")
            time.sleep(_POLL_SECONDS)

    def load(self, model_name: str) -> None:
        """Make Triton read the model's config.pbtxt and serve exactly the versions it names.

        A version that is served already and stays is not reloaded. Where one version cannot be
        loaded, Triton goes on with what it served before; for a model that served nothing, so
        at each start, that is nothing. So name a version that failed no longer.

        Raises:
            ModelLoadFailed: With Triton's words.
            TritonUnavailable: It cannot be reached, or the key is wrong.
        """
        request = service_pb2.RepositoryModelLoadRequest(model_name=model_name)
        try:
            self._stub.RepositoryModelLoad(
                request, timeout=_LOAD_TIMEOUT_SECONDS, metadata=self._metadata
            )
        except grpc.RpcError as error:
            code, details = calls.status(error)
            if code is grpc.StatusCode.UNAVAILABLE:
                raise TritonUnavailable(self._address, details) from error
            raise ModelLoadFailed(model_name, details) from error

    def unload(self, model_name: str) -> None:
        """Stop serving the model; a model that is not loaded is left so.

        Raises:
            TritonUnavailable: It cannot be reached, or the key is wrong.
        """
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model_name)
        self._call(self._stub.RepositoryModelUnload, request)

    def ready_versions(self, model_name: str) -> frozenset[int]:
        """Return the versions that Triton serves now; none for a model it does not know.

        Raises:
            TritonUnavailable: It cannot be reached, or the key is wrong.
        """
        entries = self._index(model_name)
        return frozenset(int(entry.version) for entry in entries if entry.state == "READY")

    def failed_versions(self, model_name: str) -> Mapping[int, str]:
        """Return the versions that could not be loaded, with Triton's reason.

        Raises:
            TritonUnavailable: It cannot be reached, or the key is wrong.
        """
        return {
            int(entry.version): entry.reason
            for entry in self._index(model_name)
            if entry.state == "UNAVAILABLE" and entry.reason != "unloaded"
        }

    def statistics(self, model_name: str) -> Mapping[int, VersionStatistics]:
        """Return what each served version has done since it was loaded.

        Raises:
            TritonUnavailable: It cannot be reached, or does not know the model.
        """
        request = service_pb2.ModelStatisticsRequest(name=model_name)
        answer = self._call(self._stub.ModelStatistics, request)
        return {int(entry.version): _statistics(entry) for entry in answer.model_stats}

    def infer(
        self,
        model_name: str,
        version: int,
        input_ids: npt.NDArray[np.int32],
        timeout_seconds: float = _CALL_TIMEOUT_SECONDS,
    ) -> npt.NDArray[np.float32]:
        """Ask one version, routed or not: int32 [rows, length] -> float32 [rows, labels].

        Raises:
            ModelVersionNotServed: Triton does not serve it.
            ModelOutputInvalid: What are no probabilities of the rows, or a failed run.
            DeadlineExceeded: No answer in time.
            TritonUnavailable: It cannot be reached, or failed.
        """
        request = calls.infer_request(model_name, version, input_ids)
        try:
            response = self._stub.ModelInfer(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            raise calls.infer_error(
                error, self._address, model_name, version, timeout_seconds
            ) from error
        return calls.probabilities(response, model_name, version, len(input_ids))

    def _index(self, model_name: str) -> list[Any]:
        index = self._call(self._stub.RepositoryIndex, service_pb2.RepositoryIndexRequest())
        # A model that was never loaded is listed without a version.
        return [entry for entry in index.models if entry.name == model_name and entry.version]

    def _is_ready(self) -> bool:
        try:
            request = service_pb2.ServerReadyRequest()
            return bool(self._call(self._stub.ServerReady, request, timeout_seconds=1.0).ready)
        except (TritonUnavailable, DeadlineExceeded):
            return False

    def _call(
        self, method: Any, request: Any, timeout_seconds: float = _CALL_TIMEOUT_SECONDS
    ) -> Any:
        try:
            return method(request, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            code, details = calls.status(error)
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(timeout_seconds) from error
            raise TritonUnavailable(self._address, details) from error


def _statistics(entry: service_pb2.ModelStatistics) -> VersionStatistics:
    return VersionStatistics(
        row_count=entry.inference_count,
        execution_count=entry.execution_count,
        success_count=entry.inference_stats.success.count,
        failure_count=entry.inference_stats.fail.count,
        success_nanoseconds=entry.inference_stats.success.ns,
        queue_nanoseconds=entry.inference_stats.queue.ns,
    )
