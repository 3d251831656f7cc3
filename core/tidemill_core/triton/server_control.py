"""The jobs' client of one Triton: synchronous, and with the key of model control."""

from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tidemill_core.errors import DeadlineExceeded, ModelLoadFailed, TritonUnavailable
from tidemill_core.triton import calls
from tidemill_core.triton.embedded import CONTROL_KEY_HEADER

CALL_TIMEOUT_SECONDS = 10.0
LOAD_TIMEOUT_SECONDS = 120.0
_RESTRICTED = "protocol is restricted"
"""Triton's words, with the code UNAVAILABLE, for a wrong control key."""


class ControlKeyRefused(TritonUnavailable):
    """A Triton that was started with another control key."""

    reason = "CONTROL_KEY_REFUSED"

    def __init__(self, address: str) -> None:
        self.detail = f"{address} refuses the control key"
        cure = "start each Triton with the key in triton.control_key"
        super(TritonUnavailable, self).__init__(f"Triton at {self.detail}: {cure}")


class ServerControl:
    """One connection to one Triton.

    Attributes:
        address: host:port of its gRPC.
    """

    def __init__(self, grpc_address: str, key: str) -> None:
        self.address = grpc_address
        self._metadata = ((f"triton-grpc-protocol-{CONTROL_KEY_HEADER}", key),)
        options = calls.channel_options(grpc_address)
        self._channel = grpc.insecure_channel(grpc_address, options=options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def load(self, model_name: str) -> None:
        """Make Triton read the model's config.pbtxt and serve exactly the versions it names.

        A version that is already served and stays is not loaded again. If one version cannot be
        loaded, Triton goes on with the versions that it served before. At a start there are none,
        so remove a version that failed from the file.

        Raises:
            ModelLoadFailed: the load failed; has Triton's words.
            ControlKeyRefused: it was started with another key.
            TritonUnavailable: it cannot be reached.
        """
        request = service_pb2.RepositoryModelLoadRequest(model_name=model_name)
        try:
            self._stub.RepositoryModelLoad(
                request, timeout=LOAD_TIMEOUT_SECONDS, metadata=self._metadata
            )
        except grpc.RpcError as error:
            code, details = calls.status(error)
            if code is grpc.StatusCode.UNAVAILABLE:
                raise self._unavailable(details) from error
            raise ModelLoadFailed(model_name, details) from error

    def unload(self, model_name: str) -> None:
        """Stop serving the model; do nothing if it is not loaded.

        Raises:
            ControlKeyRefused: it was started with another key.
            TritonUnavailable: it cannot be reached.
        """
        request = service_pb2.RepositoryModelUnloadRequest(model_name=model_name)
        self._call(self._stub.RepositoryModelUnload, request)

    def ready_versions(self, model_name: str) -> frozenset[int]:
        """Return the versions that Triton serves now; none for an unknown model.

        Raises:
            ControlKeyRefused: it was started with another key.
            TritonUnavailable: it cannot be reached.
        """
        index = self._call(self._stub.RepositoryIndex, service_pb2.RepositoryIndexRequest())
        own = (entry for entry in index.models if entry.name == model_name)
        return frozenset(int(entry.version) for entry in own if entry.state == "READY")

    def infer(
        self,
        model_name: str,
        version: int,
        input_ids: npt.NDArray[np.int32],
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> npt.NDArray[np.float32]:
        """Classify rows with one version: int32 [rows, length] -> float32 [rows, labels].

        Raises:
            ModelVersionNotServed: Triton does not serve the version.
            ModelOutputInvalid: the run failed, or its output is not probabilities of the rows.
            DeadlineExceeded: no answer in time.
            TritonUnavailable: Triton cannot be reached.
        """
        request = calls.infer_request(model_name, version, input_ids)
        try:
            response = self._stub.ModelInfer(request, timeout=timeout_seconds)
        except grpc.RpcError as error:
            code, details = calls.status(error)
            place = (self.address, model_name, version, timeout_seconds)
            raise calls.infer_error(code, details, *place) from error
        return calls.probabilities(response, model_name, version, len(input_ids))

    def answered_calls(self) -> int:
        """Return how many inference calls Triton has answered since it started, of all models.

        Raises:
            TritonUnavailable: Triton cannot be reached.
        """
        found = self._call(self._stub.ModelStatistics, service_pb2.ModelStatisticsRequest())
        return sum(each.inference_stats.success.count for each in found.model_stats)

    def is_ready(self) -> bool:
        """Return whether Triton answers calls."""
        try:
            request = service_pb2.ServerReadyRequest()
            return bool(self._call(self._stub.ServerReady, request, timeout_seconds=1.0).ready)
        except (TritonUnavailable, DeadlineExceeded):
            return False

    def _call(
        self, method: Any, request: Any, timeout_seconds: float = CALL_TIMEOUT_SECONDS
    ) -> Any:
        try:
            return method(request, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            code, details = calls.status(error)
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(timeout_seconds) from error
            raise self._unavailable(details) from error

    def _unavailable(self, details: str) -> TritonUnavailable:
        if _RESTRICTED in details:
            return ControlKeyRefused(self.address)
        return TritonUnavailable(self.address, details)
