"""Unary gRPC calls to one of several Tritons."""

import asyncio
from collections.abc import Sequence

import grpc
import structlog
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.triton import calls
from tidemill_core.triton.addresses import is_dns, may_change, named, resolved, shown
from tidemill_core.triton.connection import Connection
from tidemill_core.triton.grpc_wire import CallFailed

WATCH_SECONDS = 0.5
_PROBE_SECONDS = 1.0
_MOST_MISSES = 2
"""Probes in a row without an answer after which a Triton counts as away."""
_READY = "/inference.GRPCInferenceService/ServerReady"

log = structlog.get_logger()


class Member:
    """One Triton.

    Attributes:
        connection: its connection.
        is_up: whether it answered last.
        in_flight: calls in flight.
        misses: probes in a row without an answer.
        was_ready: the result of the last probe.
    """

    __slots__ = ("address", "connection", "in_flight", "is_up", "misses", "was_ready")

    def __init__(self, address: str) -> None:
        self.address = address
        self.connection = Connection(address)
        self.is_up = self.was_ready = True
        self.in_flight = 0
        self.misses = 0


class Balancer:
    """Calls to the Tritons that a target names.

    A call goes to the Triton that is up and has the fewest calls in flight. If that one is away, or
    does not serve the model, the call goes to the next one while it has time left. So a call may
    run twice.

    With several Tritons, each is asked twice a second whether it is ready, so a call finds one that
    is away before it is sent, and one that has come back soon gets calls again.

    Args:
        target: see `addresses.named`.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._is_looked_up = True
        self._may_change = may_change(target)
        self._members = [] if is_dns(target) else [Member(address) for address in named(target)]
        self._watching: asyncio.Task[None] | None = None

    async def call(self, path: str, message: bytes, seconds: float) -> bytes:
        """Return the response to a message; see `Connection.call`.

        Raises:
            CallFailed: no Triton has answered; with the error of the last one that was asked.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        left, asked = await self.members(), list[Member]()
        while True:
            member = min(left, key=lambda each: (not each.is_up, each.in_flight))
            asked.append(member)
            try:
                return await _ask(member, path, message, deadline - clock())
            except CallFailed as error:
                # The target may stand for others meanwhile.
                left = [each for each in self._members if each not in asked]
                if not left or clock() >= deadline or not _may_another_answer(error):
                    raise
            finally:
                self._move_back(member)

    async def members(self) -> Sequence[Member]:
        """Return the Tritons.

        Raises:
            CallFailed: DNS does not know any.
        """
        if self._watching is None and (self._may_change or len(self._members) > 1):
            self._watching = asyncio.create_task(self._watch())
        if not self._members:
            await self._look_up()
        if not self._members:
            detail = f"cannot look up {self._target}"
            raise CallFailed(grpc.StatusCode.UNAVAILABLE, detail)
        return self._members

    async def close(self) -> None:
        """Close the connections and cancel calls in flight."""
        if self._watching is not None:
            self._watching.cancel()
        for member in [*self._members]:  # a call that ends now moves its Triton back
            await member.connection.close()

    def _move_back(self, member: Member) -> None:
        """Let equally busy Tritons take turns."""
        if len(self._members) > 1 and member in self._members:
            self._members.remove(member)
            self._members.append(member)

    async def _watch(self) -> None:
        while True:
            if self._may_change:
                await self._look_up()
            if len(self._members) > 1:
                await asyncio.gather(*(self._probe(member) for member in self._members))
            await asyncio.sleep(WATCH_SECONDS)

    async def _look_up(self) -> None:
        try:
            addresses = await asyncio.to_thread(resolved, self._target)
        except OSError as error:
            if self._is_looked_up:
                log.warning("tritons_not_looked_up", target=shown(self._target), detail=str(error))
            self._is_looked_up = False
            return
        if not self._is_looked_up:
            log.info("tritons_looked_up", target=shown(self._target))
        self._is_looked_up = True
        known = {member.address: member for member in self._members}
        self._members = [known.get(each) or Member(each) for each in addresses]
        for address in known.keys() - set(addresses):
            known[address].connection.give_up("it is not one of the Tritons any more")

    async def _probe(self, member: Member) -> None:
        try:
            answer = await member.connection.call(_READY, b"", _PROBE_SECONDS)
            is_ready = pb.ServerReadyResponse.FromString(answer).ready
        except DecodeError:
            is_ready = False
        except CallFailed as error:
            member.misses += 1
            late = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
            if late and member.misses < _MOST_MISSES:
                return  # it may be busy
            is_ready = False
        if is_ready:
            member.misses = 0
        elif any(each.is_up for each in self._members if each is not member):
            # Its calls in flight go to another one.
            member.connection.drop("it does not answer")
        if member.was_ready and not is_ready:  # `is_up` is False if a call found it first
            log.warning("triton_away", address=member.address)
        elif is_ready and not member.was_ready:
            log.info("triton_back", address=member.address)
        member.is_up = member.was_ready = is_ready


async def _ask(member: Member, path: str, message: bytes, seconds: float) -> bytes:
    member.in_flight += 1
    try:
        return await member.connection.call(path, message, seconds)
    except CallFailed as error:
        if calls.is_away(error.code, error.details):
            member.is_up = False
        raise
    finally:
        member.in_flight -= 1


def _may_another_answer(error: CallFailed) -> bool:
    """Return whether another Triton may answer a call that failed."""
    return calls.is_away(error.code, error.details) or calls.is_unserved(error.code, error.details)
