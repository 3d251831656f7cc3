"""The front's client of Triton: asynchronous, and without the control key."""

import grpc
import grpc.aio
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tidemill_core.triton import calls

_PROBE_TIMEOUT_SECONDS = 1.0


class TritonClient:
    """One connection to one Triton, on the event loop that creates it."""

    def __init__(self, grpc_address: str) -> None:
        self._address = grpc_address
        options = calls.channel_options(grpc_address)
        self._channel = grpc.aio.insecure_channel(grpc_address, options=options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

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
            response = await self._stub.ModelInfer(request, timeout=timeout_seconds)
        except grpc.aio.AioRpcError as error:
            raise calls.infer_error(
                error, self._address, model_name, version, timeout_seconds
            ) from error
        return calls.probabilities(response, model_name, version, len(input_ids))

    async def ready(self) -> bool:
        """Return whether Triton answers calls; False too if it cannot be reached."""
        try:
            answer = await self._stub.ServerReady(
                service_pb2.ServerReadyRequest(), timeout=_PROBE_TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError:
            return False
        # grpc.aio returns None for a message that it cannot decode.
        return answer is not None and bool(answer.ready)

    async def model_ready(self, model_name: str, version: int) -> bool:
        """Return whether Triton serves the version; False too if it cannot be reached."""
        request = service_pb2.ModelReadyRequest(name=model_name, version=str(version))
        try:
            answer = await self._stub.ModelReady(request, timeout=_PROBE_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return answer is not None and bool(answer.ready)

    async def close(self) -> None:
        """Close the connection and cancel calls in flight."""
        await self._channel.close()
