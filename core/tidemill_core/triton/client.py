"""The front's client of Triton: asynchronous, and without the control key."""

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError, Message
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.triton import calls
from tidemill_core.triton.connection import Connection
from tidemill_core.triton.grpc_wire import CallFailed

M = TypeVar("M", bound=Message)

_PROBE_TIMEOUT_SECONDS = 1.0


class TritonClient:
    """One connection to one Triton, on one event loop."""

    def __init__(self, grpc_address: str) -> None:
        self._address = grpc_address
        self._connection = Connection(grpc_address)

    async def infer(
        self,
        model_name: str,
        version: int,
        input_ids: npt.NDArray[np.int32],
        timeout_seconds: float,
        request_id: str = "",
    ) -> npt.NDArray[np.float32]:
        """Classify rows with one version of one model.

        Canceling the task cancels the call, and Triton removes it from its queue.

        Args:
            model_name: `<task>-<format>`.
            version: a version that Triton serves.
            input_ids: int32 [rows, sequence_length], at most the model's largest batch.
            timeout_seconds: the time left to the caller; then Triton drops the call too.
            request_id: for Triton's own traces and log.

        Returns:
            Probabilities, float32 [rows, labels], in [0, 1] except for rounding, read-only.

        Raises:
            ModelVersionNotServed: Triton does not serve the version.
            ModelOutputInvalid: the run failed, or its output is not probabilities of the rows.
            DeadlineExceeded: no answer in time.
            TritonUnavailable: there is no connection; raised at once, without waiting for one.
        """
        request = calls.infer_request(model_name, version, input_ids, request_id)
        try:
            response = await self._ask(
                "ModelInfer", request, pb.ModelInferResponse, timeout_seconds
            )
        except CallFailed as error:
            place = (self._address, model_name, version, timeout_seconds)
            raise calls.infer_error(error.code, error.details, *place) from error
        return calls.probabilities(response, model_name, version, len(input_ids))

    async def ready(self) -> bool:
        """Return whether Triton answers calls; False too if it cannot be reached."""
        return await self._is_ready("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)

    async def model_ready(self, model_name: str, version: int) -> bool:
        """Return whether Triton serves the version; False too if it cannot be reached."""
        request = pb.ModelReadyRequest(name=model_name, version=str(version))
        return await self._is_ready("ModelReady", request, pb.ModelReadyResponse)

    async def _is_ready(
        self,
        method: str,
        request: Message,
        response: type[pb.ServerReadyResponse] | type[pb.ModelReadyResponse],
    ) -> bool:
        try:
            answer = await self._ask(method, request, response, _PROBE_TIMEOUT_SECONDS)
        except CallFailed:
            return False
        return answer is not None and bool(answer.ready)

    async def _ask(
        self, method: str, request: Message, response: type[M], seconds: float
    ) -> M | None:
        """Return Triton's answer; None if it cannot be decoded."""
        answer = await self._connection.call(
            f"/inference.GRPCInferenceService/{method}", request.SerializeToString(), seconds
        )
        try:
            return response.FromString(answer)
        except DecodeError:
            return None

    async def close(self) -> None:
        """Close the connection and cancel calls in flight."""
        await self._connection.close()
