"""Calls of all kinds, well-behaved and not, and their outcomes."""

import asyncio
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor
from hypothesis import strategies as st

from tests.integration.server.fuzzing.messages import ANSWERED, METHODS, Dictionary, messages

Metadata = tuple[tuple[str, str | bytes], ...]

HANG_SECONDS = 15.0
"""A caller that hears nothing for so long takes the front for hung."""
_WATCHED_SECONDS = 0.2
"""Answers to one request may have no end, as those of a watch; they are followed for so long."""
_READ_PAUSE_SECONDS = 0.01
_MOST_MESSAGES = 6
_OFTEN = 5
"""What is answered with what the model gives is called so much more often than the rest."""
ENDED_WHILE_SENDING = "ENDED_WHILE_SENDING"
"""Stands in for a status that the caller's own library hides."""
_HIDDEN = ("INTERNAL", "Internal error from Core")
"""What grpc.aio says where the call ended while it was sending, whatever the server's status is. An
INTERNAL of the server's own has other words, and leaves `unexpected_error` in its log."""
_RESERVED = ("grpc-", ":", "te", "content-type", "user-agent", "host")


class Habit(Enum):
    """How a caller behaves."""

    PATIENT = "sends all, half-closes, reads all"
    SLOW = "as PATIENT, and reads slowly"
    SILENT = "half-closes without a message"
    HURRIED = "has a deadline of milliseconds"
    CANCELLING = "never half-closes, and cancels after milliseconds"

    @property
    def waits(self) -> bool:
        """Whether it waits for the call to end."""
        return self in (Habit.PATIENT, Habit.SLOW, Habit.SILENT)


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        method: that is called.
        sent: its messages.
        metadata: that goes along.
        habit: how its caller behaves.
        pause: seconds that a HURRIED caller waits, or a CANCELLING one.
    """

    method: MethodDescriptor
    sent: tuple[bytes, ...]
    metadata: Metadata = ()
    habit: Habit = Habit.PATIENT
    pause: float = 0.0

    @property
    def is_endless(self) -> bool:
        """Whether its answers may never end."""
        return self.method.server_streaming and not self.method.client_streaming

    @property
    def path(self) -> str:
        """The method's path in gRPC."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Attributes:
        code: its status; "" where none came in HANG_SECONDS.
        words: its status in words.
        answers: its messages.
        seconds: how long it took.
    """

    code: str
    words: str
    answers: tuple[bytes, ...]
    seconds: float


def cases(dictionary: Dictionary) -> st.SearchStrategy[Case]:
    """Return calls of any method."""
    often = [method for method in METHODS if method.name in ANSWERED]
    return st.one_of([cases_of(method, dictionary) for method in (*METHODS, *_OFTEN * often)])


def cases_of(method: MethodDescriptor, dictionary: Dictionary) -> st.SearchStrategy[Case]:
    """Return calls of one method."""
    most = _MOST_MESSAGES if method.client_streaming else 1
    each = messages(method, dictionary)
    return st.builds(
        Case,
        st.just(method),
        st.lists(each, min_size=1, max_size=most).map(tuple),
        st.just(()) | _metadata(),
        st.sampled_from([Habit.PATIENT, *Habit]),
        st.floats(0.001, 0.05),
    )


def _metadata() -> st.SearchStrategy[Metadata]:
    """Return any metadata that HTTP/2 allows, including credentials and traces."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789_.-"
    keys = st.text(letters, min_size=1, max_size=20).filter(
        lambda key: not key.startswith(_RESERVED) and not key.endswith("-bin")
    )
    known = ("authorization", "traceparent", "tracestate", "triton-grpc-protocol-key", "baggage")
    values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)
    credentials = st.sampled_from(("Bearer ", "Bearer x", "Basic eDp5", "bearer a.b.c"))
    traces = st.sampled_from(("00-" + "0" * 32 + "-" + "0" * 16 + "-01", "00-x-y-z"))
    large = st.integers(4_000, 20_000).map(lambda size: "x" * size)
    # RFC 9113, 8.2.1: no value begins or ends with whitespace.
    each_value = (values | credentials | traces | large).map(str.strip)
    ascii_pairs = st.tuples(st.sampled_from(known) | keys, each_value)
    binary_pairs = st.tuples(keys.map(lambda key: key + "-bin"), st.binary(max_size=60))
    return st.lists(ascii_pairs | binary_pairs, max_size=4).map(tuple)


async def ask(channel: grpc.aio.Channel, case: Case) -> Outcome:
    """Make a call, as a stream of raw messages for every method."""
    timeout = HANG_SECONDS
    if case.habit is Habit.HURRIED:
        timeout = case.pause
    elif case.is_endless:
        timeout = _WATCHED_SECONDS
    start = time.monotonic()
    method: Any = channel.stream_stream(case.path)
    call = method(metadata=case.metadata, timeout=timeout)
    answers: list[bytes] = []
    try:
        async with asyncio.timeout(HANG_SECONDS + 1):
            await _behave(call, case, answers)
            code, words = (await call.code()).name, await call.details()
            if (code, words) == _HIDDEN:
                code = ENDED_WHILE_SENDING
    except TimeoutError:
        call.cancel()
        code, words = "", "no answer"
    return Outcome(code, words or "", tuple(answers), time.monotonic() - start)


async def _behave(call: Any, case: Case, answers: list[bytes]) -> None:
    try:
        if case.habit is not Habit.SILENT:
            for message in case.sent:
                await call.write(message)
        if case.habit is Habit.CANCELLING:
            await asyncio.sleep(case.pause)
            call.cancel()
            return
        await call.done_writing()
        while (answer := await call.read()) is not grpc.aio.EOF:
            answers.append(answer)
            if case.habit is Habit.SLOW:
                await asyncio.sleep(_READ_PAUSE_SECONDS)
    except (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
        return  # it has ended; its status says how
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) and task.cancelling():
            raise  # this caller is canceled, not the call
