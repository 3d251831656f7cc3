"""Pings on idle connections, with every period 16 times shorter than in production."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from tidemill_client.connection import DEFAULT_KEEPALIVE_SECONDS, channel_options
from tidemill_server.transports.grpcio import SERVER_OPTIONS

FASTER = 16
PERIODS = (
    "grpc.keepalive_time_ms",
    "grpc.http2.ping_timeout_ms",
    "grpc.http2.min_ping_interval_without_data_ms",
)
METHOD = "/test.Test/Idle"


def hurried() -> list[tuple[str, int]]:
    """Return the server's options with shorter periods."""
    return [(name, n // FASTER if name in PERIODS else n) for name, n in SERVER_OPTIONS]


class Idle:
    """A servicer whose streams send one message and then nothing, and how its calls ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def answer(self, _requests: object, _context: object) -> AsyncIterator[bytes]:
        """Handle a call."""
        try:
            yield b"begun"
            await asyncio.Event().wait()
        finally:
            self.ended.set()


@contextlib.asynccontextmanager
async def idle_server() -> AsyncIterator[tuple[Idle, int]]:
    """Yield the port of a server with the real options."""
    idle, server = Idle(), grpc.aio.server(options=hurried())
    handlers: dict[str, Any] = {"Idle": grpc.stream_stream_rpc_method_handler(idle.answer)}
    server.add_registered_method_handlers("test.Test", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield idle, port
    finally:
        await server.stop(0)


@contextlib.asynccontextmanager
async def begun(port: int, keepalive_seconds: float) -> AsyncIterator[Any]:
    """Start a stream with the Python client's options, and return it after its first message."""
    options = channel_options(keepalive_seconds)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        call: Any = channel.stream_stream(METHOD)()
        assert await call.read() == b"begun"
        yield call


async def test_the_clients_own_pings_are_taken() -> None:
    """A stream without messages for five ping periods stays open."""
    period = DEFAULT_KEEPALIVE_SECONDS / FASTER
    async with idle_server() as (idle, port), begun(port, period) as call:
        await asyncio.sleep(5 * period)  # time for five pings, none of which may end it
        assert not call.done()
        assert not idle.ended.is_set()


CALLER = f"""
import grpc, sys
call = grpc.insecure_channel(sys.argv[1]).stream_stream("{METHOD}")(iter(()))
print(next(call), flush=True)
next(call)
"""


async def test_a_caller_that_vanishes_is_noticed() -> None:
    """A stream of a caller that answers no pings is ended."""
    async with idle_server() as (idle, port):
        command = (sys.executable, "-c", CALLER, f"127.0.0.1:{port}")
        caller = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert caller.stdout is not None
            assert await caller.stdout.readline() == b"b'begun'\n"
            caller.send_signal(signal.SIGSTOP)
            await asyncio.wait_for(idle.ended.wait(), 60)
        finally:
            caller.kill()
            await caller.wait()
