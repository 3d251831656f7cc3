"""Calls to Triton whose answers are passed on as bytes."""

import grpc
from google.protobuf.message import DecodeError, Message
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.errors import DeadlineExceeded, TritonUnavailable, Unavailable
from tidemill_core.triton import calls
from tidemill_core.triton.addresses import shown
from tidemill_core.triton.balancer import Balancer
from tidemill_core.triton.grpc_wire import CallFailed
from tidemill_server.rpc.status import PassedOn

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_MAX_MESSAGE_LENGTH = 1000
"""Characters of Triton's message, which is sent as metadata, where space is small."""


class TritonUnreadable(Unavailable):
    """Triton's answer is not a message of the method's type."""

    reason = "TRITON_UNREADABLE"

    def __init__(self, method: str) -> None:
        super().__init__(f"Triton's answer to {method} cannot be decoded")


class TritonCalls:
    """Connections to one or several Tritons.

    Args:
        target: see `addresses.named`.
    """

    def __init__(self, target: str) -> None:
        self.target = shown(target)
        self._tritons = Balancer(target)

    async def ask(
        self, method: str, request: Message, seconds: float, answer: Message | None = None
    ) -> bytes:
        """Return Triton's answer as bytes, after checking that it can be decoded.

        Args:
            method: the name of a unary method.
            request: a message of the method's request type.
            seconds: how long to wait.
            answer: an empty message of the method's response type, to fill with the answer.

        Raises:
            PassedOn: Triton answered with an error.
            DeadlineExceeded: no answer in time.
            TritonUnavailable: no connection.
            TritonUnreadable: the answer cannot be decoded.
        """
        if answer is None:
            answer = getattr(pb, SERVICE.methods_by_name[method].output_type.name)()
        try:
            found = await self._tritons.call(
                f"/{SERVICE.full_name}/{method}", request.SerializeToString(), seconds
            )
            answer.ParseFromString(found)
        except DecodeError as error:
            raise TritonUnreadable(method) from error
        except CallFailed as error:
            code, message = error.code, error.details
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(seconds) from error
            if calls.is_away(code, message):
                raise TritonUnavailable(self.target, message) from error
            raise _passed_on(code, message) from error
        return found

    async def close(self) -> None:
        """Close the connection; calls in flight are canceled."""
        await self._tritons.close()


def _passed_on(code: grpc.StatusCode, message: str) -> PassedOn:
    if code is grpc.StatusCode.UNKNOWN:  # Triton's code for some invalid inputs
        code = grpc.StatusCode.INVALID_ARGUMENT
    return PassedOn(code.value[0], f"TRITON_{code.name}", message[:_MAX_MESSAGE_LENGTH])
