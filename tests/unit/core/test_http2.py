"""gRPC calls by our own client, against a server made with the library h2."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from tidemill_core.triton.connection import Connection
from tidemill_core.triton.grpc_wire import CallFailed
from tidemill_core.triton.http2 import Link

PATH = "/a.Service/Method"
OK = [("grpc-status", "0")]


def framed(message: bytes) -> bytes:
    """Return a gRPC message with its head."""
    return struct.pack(">BI", 0, len(message)) + message


class Server(asyncio.Protocol):
    """A connection of a server that answers each call with `behave`.

    Attributes:
        h2: the connection's state.
        headers: those of the last call.
        resets: the calls that the client reset.
        lost: whether it has ended.
    """

    behave: "Callable[[Server, int, bytes], None]"
    settings: dict[SettingCodes, int]

    def __init__(self) -> None:
        self.h2 = H2Connection(H2Configuration(client_side=False))
        self.headers: dict[bytes, bytes] = {}
        self.resets: list[int] = []
        self.lost = asyncio.Event()
        self._messages: dict[int, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the settings."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.h2.initiate_connection()
        if self.settings:
            self.h2.update_settings(self.settings)
        transport.write(self.h2.data_to_send())

    def connection_lost(self, _error: Exception | None) -> None:
        """Note the end."""
        self.transport.close()
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        """Collect messages, and answer complete ones."""
        for event in self.h2.receive_data(data):
            self._handle(event)
        self.transport.write(self.h2.data_to_send())

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived) and event.headers is not None:
            self.headers = {bytes(name): bytes(value) for name, value in event.headers}
            self._messages[event.stream_id] = b""
        elif isinstance(event, DataReceived):
            self._messages[event.stream_id] += event.data
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            type(self).behave(self, event.stream_id, self._messages[event.stream_id])
        elif isinstance(event, StreamReset):
            self.resets.append(event.stream_id)

    def answer(self, stream_id: int, message: bytes, padding: int | None = None) -> None:
        """Answer a call."""
        self.h2.send_headers(stream_id, [(":status", "200"), ("content-type", "application/grpc")])
        for start in range(0, len(message), 16_000):
            self.h2.send_data(stream_id, message[start : start + 16_000], pad_length=padding)
        self.h2.send_headers(stream_id, OK, end_stream=True)


@contextlib.asynccontextmanager
async def serving(
    behave: Callable[[Server, int, bytes], None],
    settings: dict[SettingCodes, int] | None = None,
) -> AsyncIterator[tuple[Connection, list[Server]]]:
    """Yield a client of a server, and the server's connections so far."""
    opened: list[Server] = []

    class Own(Server):
        def __init__(self) -> None:
            super().__init__()
            opened.append(self)

    Own.behave, Own.settings = behave, settings or {}
    server = await asyncio.get_running_loop().create_server(Own, "127.0.0.1", 0)
    client = Connection(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with asyncio.timeout(60):
        yield client, opened
        await client.close()
        for each in opened:
            await each.lost.wait()
    server.close()


def echo(server: Server, stream_id: int, message: bytes) -> None:
    """Answer with the same message."""
    server.answer(stream_id, message)


async def failure_of(client: Connection, seconds: float = 10.0) -> CallFailed:
    """Return the error of a call."""
    with pytest.raises(CallFailed) as caught:
        await client.call(PATH, b"message", seconds)
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 65_000, 1_000_000])
async def test_messages_arrive_whole_through_narrow_windows(size: int) -> None:
    """Messages of any size arrive, as fast as the server takes them, on one connection."""
    narrow = {SettingCodes.INITIAL_WINDOW_SIZE: 1000, SettingCodes.MAX_FRAME_SIZE: 20_000}
    message = bytes(range(256)) * (size // 256 + 1)
    async with serving(echo, narrow) as (client, opened):
        calls = [client.call(PATH, message[: size + n], 10.0) for n in range(3)]
        assert await asyncio.gather(*calls) == [message[: size + n] for n in range(3)]
        assert len(opened) == 1


async def test_a_call_has_its_path_and_deadline() -> None:
    """The server sees the method, the content type and the time that is left."""
    async with serving(echo) as (client, opened):
        await client.call(PATH, b"", 1.5)
        headers = opened[0].headers
    assert headers[b":path"] == PATH.encode()
    assert headers[b"content-type"] == b"application/grpc"
    assert 1000 < int(headers[b"grpc-timeout"].removesuffix(b"m")) <= 1500


async def test_padding_and_headers_in_many_frames_are_understood() -> None:
    """Padded data, and headers larger than a frame, change nothing."""

    def behave(server: Server, stream_id: int, message: bytes) -> None:
        large = [("x-large", "x" * 40_000), (":status", "200")]
        server.h2.send_headers(stream_id, large[::-1])
        server.h2.send_data(stream_id, message, pad_length=50)
        server.h2.send_headers(stream_id, OK, end_stream=True)

    async with serving(behave) as (client, _):
        assert await client.call(PATH, b"message", 10.0) == b"message"


async def test_an_error_has_the_servers_words() -> None:
    """A status arrives with its message, which may be percent-encoded UTF-8."""

    def behave(server: Server, stream_id: int, _message: bytes) -> None:
        status = [(":status", "200"), ("grpc-status", "14"), ("grpc-message", "gone%20%C3%BC")]
        server.h2.send_headers(stream_id, status, end_stream=True)

    async with serving(behave) as (client, _):
        error = await failure_of(client)
    assert (error.code, error.details) == (grpc.StatusCode.UNAVAILABLE, "gone ü")


async def test_late_and_canceled_calls_end_at_the_server() -> None:
    """A call past its time is DEADLINE_EXCEEDED; the server drops it, as it does a canceled one."""
    async with serving(lambda *_: None) as (client, opened):
        assert (await failure_of(client, 0.05)).code is grpc.StatusCode.DEADLINE_EXCEEDED
        canceled = asyncio.create_task(client.call(PATH, b"", 10.0))
        while opened[0].h2.highest_inbound_stream_id < 3:
            await asyncio.sleep(0.01)
        canceled.cancel()
        while opened[0].resets != [1, 3]:
            await asyncio.sleep(0.01)


async def test_a_server_that_ends_answers_what_it_has_seen() -> None:
    """After GOAWAY the call in flight is answered, and the next one goes to a new connection."""

    def behave(server: Server, stream_id: int, message: bytes) -> None:
        server.answer(stream_id, message)
        answered = server.h2.data_to_send()
        server.h2.close_connection(last_stream_id=stream_id)
        server.transport.write(server.h2.data_to_send() + answered)

    async with serving(behave) as (client, opened):
        for _ in range(3):
            assert await client.call(PATH, b"message", 10.0) == b"message"
        assert len(opened) == 3


@pytest.mark.parametrize("last", [b"", b"HTTP/1.1 400 No\r\n\r\n", b"\0\0\1\1\5\0\0\0\1\xff"])
async def test_a_lost_connection_fails_its_calls_and_is_replaced(last: bytes) -> None:
    """A connection that breaks, or breaks the rules, fails its calls with UNAVAILABLE at once."""

    def behave(server: Server, stream_id: int, message: bytes) -> None:
        if message == framed(b"message"):
            server.transport.write(last)
            server.transport.close()
        else:
            server.answer(stream_id, message)

    async with serving(behave) as (client, _):
        assert (await failure_of(client)).code is grpc.StatusCode.UNAVAILABLE
        assert await client.call(PATH, b"another", 10.0) == b"another"


async def test_a_connection_that_is_lost_before_its_call_fails_it_at_once() -> None:
    """A call does not wait on a connection that the server closed just before."""
    async with serving(echo) as (client, opened):
        await client.call(PATH, b"", 10.0)
        address = opened[0].transport.get_extra_info("sockname")
        loop = asyncio.get_running_loop()
        transport, link = await loop.create_connection(lambda: Link("server"), *address)
        transport.close()
        while link.is_open:
            await asyncio.sleep(0.01)
        with pytest.raises(CallFailed) as caught:
            await link.call(PATH, b"", 5.0)
        assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        assert not link.is_open


async def test_calls_that_cannot_connect_end_in_their_own_time() -> None:
    """Many calls to a host that never answers fail together, not one after another."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        with contextlib.ExitStack() as filled:  # what the listener does not accept, it ignores
            for _ in range(4):
                waiting = filled.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(address)
            client = Connection(f"127.0.0.1:{address[1]}")
            async with asyncio.timeout(12):
                failures = await asyncio.gather(*(failure_of(client, 0.3) for _ in range(60)))
            await client.close()
    assert {error.code for error in failures} == {grpc.StatusCode.UNAVAILABLE}
