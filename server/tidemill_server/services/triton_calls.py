"""Calls to Triton whose answers are passed on as the bytes that they are."""

from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.errors import DeadlineExceeded, TritonUnavailable, Unavailable
from tidemill_core.triton import calls
from tidemill_server.status import PassedOn

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_MAX_MESSAGE_LENGTH = 1000
"""Characters of Triton's words: they travel as metadata, for which there is little room."""


class TritonUnreadable(Unavailable):
    """Triton answered what is no message of the method."""

    reason = "TRITON_UNREADABLE"

    def __init__(self, method: str) -> None:
        super().__init__(f"Triton's answer to {method} cannot be decoded")


class TritonCalls:
    """One connection to one Triton.

    Args:
        address: `host:port` of its gRPC.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.aio.insecure_channel(address, options=calls.channel_options(address))
        self._calls: dict[str, Any] = {
            method.name: self._channel.unary_unary(
                f"/{SERVICE.full_name}/{method.name}", lambda request: request.SerializeToString()
            )
            for method in SERVICE.methods
        }

    async def ask(
        self, method: str, request: Message, seconds: float, answer: Message | None = None
    ) -> bytes:
        """Triton's answer, which can be decoded.

        Args:
            method: its name; it takes one request.
            request: of the method's type.
            seconds: that its caller waits.
            answer: of the method's type and empty; becomes what was answered.

        Raises:
            PassedOn: what Triton says of the request.
            DeadlineExceeded: no answer in time.
            TritonUnavailable: no connection.
            TritonUnreadable: the answer cannot be decoded.
        """
        if answer is None:
            answer = getattr(pb, SERVICE.methods_by_name[method].output_type.name)()
        try:
            found = bytes(await self._calls[method](request, timeout=seconds))
            answer.ParseFromString(found)
        except DecodeError as error:
            raise TritonUnreadable(method) from error
        except grpc.aio.AioRpcError as error:
            code, message = calls.status(error)
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(seconds) from error
            if calls.is_away(code, message):
                raise TritonUnavailable(self.address, message) from error
            raise _passed_on(code, message) from error
        return found

    async def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        await self._channel.close()


def _passed_on(code: grpc.StatusCode, message: str) -> PassedOn:
    if code is grpc.StatusCode.UNKNOWN:  # Triton's word for input that it cannot place
        code = grpc.StatusCode.INVALID_ARGUMENT
    return PassedOn(code, f"TRITON_{code.name}", message[:_MAX_MESSAGE_LENGTH])
