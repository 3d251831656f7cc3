"""A connection that sends any HTTP/2 frames, well-formed or not, and counts what comes back."""

import asyncio
import contextlib
import gzip
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hpack import Encoder, NeverIndexedHeaderTuple

from bench.serving.connection import frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, AWAY, WINDOW, CONTINUATION = (
    0,
    1,
    2,
    3,
    4,
    6,
    7,
    8,
    9,
)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = (8).to_bytes(4, "big")
INITIAL_WINDOW_SIZE = 4
LARGEST_FRAME = 16_384
_READ_BYTES = 65_536
_FRAME_HEADER = 9
_WRITE_SECONDS = 5.0
_SETTLING_SECONDS = 0.3


@dataclass(frozen=True)
class Victim:
    """A front under attack.

    Attributes:
        address: host:port.
        path: a method, `/package.Service/Method`.
        metadata: the metadata of each call.
        message: a message of the method.
    """

    address: str
    path: str
    metadata: Sequence[tuple[str, str]]
    message: bytes

    def headers(self, *extra: tuple[str, str]) -> bytes:
        """Return the header block of a call, with further headers at its end."""
        pairs = [(":method", "POST"), (":scheme", "http"), (":path", self.path)]
        pairs += [(":authority", self.address), ("te", "trailers")]
        pairs += [("content-type", "application/grpc"), *self.metadata, *extra]
        unindexed = [NeverIndexedHeaderTuple(name, value) for name, value in pairs]
        return Encoder().encode(unindexed, huffman=False)

    def body(self) -> bytes:
        """Return the message, length-prefixed."""
        return prefixed(self.message)

    def opening(self, stream: int, *extra: tuple[str, str]) -> bytes:
        """Return the frame that opens a call."""
        return frame(HEADERS, END_HEADERS, stream, self.headers(*extra))

    def call(self, stream: int) -> bytes:
        """Return the frames of a whole call."""
        return self.opening(stream) + frame(DATA, END_STREAM, stream, self.body())


def prefixed(message: bytes, compressed: bool = False) -> bytes:
    """Return a gRPC message with its prefix."""
    content = gzip.compress(message) if compressed else message
    return bytes((compressed,)) + len(content).to_bytes(4, "big") + content


def setting(name: int, value: int) -> bytes:
    """Return one setting of a SETTINGS frame."""
    return name.to_bytes(2, "big") + value.to_bytes(4, "big")


class Wire:
    """A connection under a client's full control.

    Attributes:
        frames: number of frames received, by type.
        ended: streams that the server ended.
        goaway: the debug data of a GOAWAY, once one came.
        closed: set once the server closed the connection.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, reads: bool
    ) -> None:
        self._writer = writer
        self._received = b""
        self._answers = False
        self.frames: Counter[int] = Counter()
        self.ended: set[int] = set()
        self.goaway: str | None = None
        self.closed = asyncio.Event()
        self._reading = asyncio.create_task(self._read(reader)) if reads else None

    @classmethod
    async def opened(cls, address: str, *, reads: bool = True) -> "Wire":
        """Connect, and send the preface.

        Args:
            address: host:port.
            reads: whether anything that the server sends is read.
        """
        wire = await cls.connected(address, reads=reads)
        await wire.greet()
        return wire

    @classmethod
    async def connected(cls, address: str, *, reads: bool = True) -> "Wire":
        """Connect, and send nothing."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        return cls(reader, writer, reads=reads)

    async def greet(self, settings: bytes = b"") -> None:
        """Send the preface and the first settings, and from now on answer settings and pings."""
        self._answers = True
        await self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    async def settle(self) -> None:
        """Greet, and stop answering once the server's settings were answered.

        Nothing that the attacker does not send comes between its frames from now on.
        """
        await self.greet()
        await asyncio.sleep(_SETTLING_SECONDS)
        self._answers = False

    async def send(self, content: bytes) -> bool:
        """Send bytes; return False once the server has closed the connection or reads no more."""
        if self.closed.is_set():
            return False
        try:
            self._writer.write(content)
            async with asyncio.timeout(_WRITE_SECONDS):
                await self._writer.drain()
        except (OSError, TimeoutError):
            return False
        return not self.closed.is_set()

    async def until_closed(self, seconds: float) -> bool:
        """Wait for the server to close the connection; return whether it did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closed.wait()
        return self.closed.is_set()

    async def until_ended(self, stream: int, seconds: float) -> bool:
        """Wait for the end of a call, or of the connection; return whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while stream not in self.ended and not self.closed.is_set():
                    await asyncio.sleep(0.05)
        return stream in self.ended or self.closed.is_set()

    async def close(self) -> None:
        """Close the connection without a word."""
        if self._reading:
            self._reading.cancel()
        self._writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_READ_BYTES):
                self._take(data)
        self.closed.set()

    def _take(self, data: bytes) -> None:
        data, begin = self._received + data, 0
        while len(data) - begin >= _FRAME_HEADER:
            end = begin + _FRAME_HEADER + int.from_bytes(data[begin : begin + 3], "big")
            if end > len(data):
                break
            kind, flags = data[begin + 3], data[begin + 4]
            stream = int.from_bytes(data[begin + 5 : begin + 9], "big")
            self.frames[kind] += 1
            if kind == RESET or (kind in (DATA, HEADERS) and flags & END_STREAM):
                self.ended.add(stream)
            elif kind == AWAY:
                self.goaway = data[begin + 17 : end].decode(errors="replace")
            elif kind == SETTINGS and not flags & ACK and self._answers:
                self._writer.write(frame(SETTINGS, ACK, 0, b""))
            elif kind == PING and not flags & ACK and self._answers:
                self._writer.write(frame(PING, ACK, 0, data[begin + 9 : end]))
            begin = end
        self._received = data[begin:]
