"""The front's client of Triton: asynchronous, and without the control key."""

import asyncio

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.triton import calls
from tidemill_core.triton.addresses import shown
from tidemill_core.triton.balancer import Balancer, Member
from tidemill_core.triton.grpc_wire import CallFailed

_SERVICE = "/inference.GRPCInferenceService"
_PROBE_TIMEOUT_SECONDS = 1.0


class TritonClient:
    """Connections to one or several Tritons, on one event loop.

    Args:
        target: see `addresses.named`.
    """

    def __init__(self, target: str) -> None:
        self._target = shown(target)
        self._tritons = Balancer(target)

    async def infer(
        self,
        model_name: str,
        version: int,
        input_ids: npt.NDArray[np.int32],
        timeout_seconds: float,
        request_id: str = "",
    ) -> npt.NDArray[np.float32]:
        """Classify rows with one version of one model.

        A Triton that is away or does not serve the version costs no answer while another one does.
        Canceling the task cancels the call in Triton, and so does the end of its time. Triton 2.51
        is not safe against either: see docs/decisions/unwaited-inferences.md.

        Args:
            model_name: `<task>-<format>`.
            version: a version that Triton serves.
            input_ids: int32 [rows, sequence_length], at most the model's largest batch.
            timeout_seconds: the time that the call gets; then Triton drops it, too.
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
        message = request.SerializeToString()
        try:
            answer = await self._tritons.call(f"{_SERVICE}/ModelInfer", message, timeout_seconds)
        except CallFailed as error:
            place = (self._target, model_name, version, timeout_seconds)
            raise calls.infer_error(error.code, error.details, *place) from error
        try:
            response = pb.ModelInferResponse.FromString(answer)
        except DecodeError:
            response = None
        return calls.probabilities(response, model_name, version, len(input_ids))

    async def model_ready(self, model_name: str, version: int) -> bool:
        """Return whether a Triton serves the version; False too if none can be reached."""
        return True in await self._have(model_name, version)

    async def all_ready(self, model_name: str, version: int) -> bool:
        """Return whether each Triton that can be reached serves the version, at least one."""
        return {True} == {*await self._have(model_name, version)} - {None}

    async def _have(self, model_name: str, version: int) -> list[bool | None]:
        """Return whether each Triton serves the version; None if it cannot be reached."""
        request = pb.ModelReadyRequest(name=model_name, version=str(version)).SerializeToString()

        async def has(member: Member) -> bool | None:
            try:
                path = f"{_SERVICE}/ModelReady"
                answer = await member.connection.call(path, request, _PROBE_TIMEOUT_SECONDS)
                return bool(pb.ModelReadyResponse.FromString(answer).ready)
            except CallFailed as error:
                late = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
                return None if late or calls.is_away(error.code, error.details) else False
            except DecodeError:
                return False

        try:
            members = await self._tritons.members()
        except CallFailed:
            return []
        return await asyncio.gather(*map(has, members))

    async def close(self) -> None:
        """Close the connection and cancel calls in flight."""
        await self._tritons.close()
