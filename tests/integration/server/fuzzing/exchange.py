"""Calls as bytes of HTTP/2, and what a server says to them."""

import asyncio
import base64
import contextlib
from dataclasses import dataclass

from google.rpc import error_details_pb2, status_pb2
from hpack import Decoder, Encoder, HPACKError, NeverIndexedHeaderTuple

from bench.serving.connection import frame

Pairs = tuple[tuple[str, str], ...]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _AWAY, _CONTINUATION = 0, 1, 3, 4, 6, 7, 9
_END_STREAM, _END_HEADERS, _ACK, _PADDED, _PRIORITY = 1, 4, 1, 8, 0x20
_LARGEST_FRAME = 16_384
_STREAM = 1
_MOST = 2**31 - 1
_OPENING = (
    _PREFACE
    + frame(_SETTINGS, 0, 0, (4).to_bytes(2, "big") + _MOST.to_bytes(4, "big"))
    + frame(8, 0, 0, (_MOST - 65_535).to_bytes(4, "big"))
)
"""The preface of a connection on which no answer waits for a window."""
_SECONDS = 15.0


@dataclass(frozen=True)
class Exchange:
    """A call in the form in which it is sent.

    Attributes:
        headers: of the call, in their order.
        body: the whole body, with the prefixes of its messages.
        cuts: where the body is cut into frames, as shares of its length.
        trailers: sent after the body, instead of the end of the stream on its last frame.
    """

    headers: Pairs
    body: bytes
    cuts: tuple[float, ...] = ()
    trailers: Pairs = ()

    def frames(self) -> bytes:
        """Return the frames that make the call."""
        ends = sorted({int(cut * len(self.body)) for cut in self.cuts} | {len(self.body)})
        content = frame(_HEADERS, _END_HEADERS, _STREAM, _block(self.headers))
        begin = 0
        for end in ends:
            while begin < end or (end == len(self.body) == begin):
                part = self.body[begin : min(end, begin + _LARGEST_FRAME)]
                begin += len(part)
                last = begin == len(self.body)
                flags = _END_STREAM if last and not self.trailers else 0
                content += frame(_DATA, flags, _STREAM, part)
                if last:
                    break
        if self.trailers:
            content += frame(_HEADERS, _END_HEADERS | _END_STREAM, _STREAM, _block(self.trailers))
        return content


def _block(pairs: Pairs) -> bytes:
    unindexed = [NeverIndexedHeaderTuple(name, value) for name, value in pairs]
    return Encoder().encode(unindexed, huffman=False)


@dataclass(frozen=True)
class Reply:
    """What a server says.

    Attributes:
        code: gRPC's status; None where the server answered in another way.
        reason: the reason in the error's details.
        manner: `status`, or in which other way the call ended: `HTTP 415`, `reset`, `closed`,
            or `silence` where it did not end.
        body: the messages, with their prefixes.
    """

    code: int | None
    reason: str
    manner: str
    body: bytes

    @property
    def accepted(self) -> bool:
        """Whether the call succeeded."""
        return self.code == 0


async def ask(address: str, exchange: Exchange) -> Reply:
    """Make a call on a connection of its own."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answer = _Answer(writer)
    try:
        writer.write(_OPENING + exchange.frames())
        async with asyncio.timeout(_SECONDS):
            with contextlib.suppress(OSError):
                while not answer.ended and (data := await reader.read(65_536)):
                    answer.take(data)
    except TimeoutError:
        answer.manner = "silence"
    finally:
        writer.transport.abort()
    return answer.reply()


class _Answer:
    """The frames of an answer, as they arrive."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._decoder = Decoder(max_header_list_size=1 << 20)
        self._received = self._fields = self._body = b""
        self._flags = 0
        self._pairs: dict[str, str] = {}
        self.ended = False
        self.manner = ""

    def take(self, data: bytes) -> None:
        """Process complete frames; keep the rest."""
        data, begin = self._received + data, 0
        while not self.ended and len(data) - begin >= 9:
            end = begin + 9 + int.from_bytes(data[begin : begin + 3], "big")
            if end > len(data):
                break
            self._frame(data[begin + 3], data[begin + 4], data[begin + 9 : end])
            begin = end
        self._received = data[begin:]

    def _frame(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == _HEADERS:
            self._fields, self._flags = _unpadded(flags, payload), flags
        elif kind == _CONTINUATION:
            self._fields += payload
        elif kind == _DATA:
            self._body += _unpadded(flags, payload)
            self.ended = bool(flags & _END_STREAM)
        elif kind == _SETTINGS and not flags & _ACK:
            self._writer.write(frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._writer.write(frame(_PING, _ACK, 0, payload))
        elif kind == _RESET:
            # A server that has answered may reset what the caller still sends.
            self.manner, self.ended = self.manner or "reset", True
        elif kind == _AWAY and payload[4:8] != bytes(4):
            self.manner, self.ended = "closed", True
        if kind in (_HEADERS, _CONTINUATION) and flags & _END_HEADERS:
            with contextlib.suppress(HPACKError):
                self._pairs |= dict(self._decoder.decode(self._fields))
            self.ended = bool(self._flags & _END_STREAM)

    def reply(self) -> Reply:
        """Return the answer."""
        if "grpc-status" in self._pairs:
            details = self._pairs.get("grpc-status-details-bin", "")
            return Reply(int(self._pairs["grpc-status"]), _reason(details), "status", self._body)
        if self._pairs.get(":status", "200") != "200":
            return Reply(None, "", f"HTTP {self._pairs[':status']}", b"")
        return Reply(None, "", self.manner or "closed", b"")


def _unpadded(flags: int, payload: bytes) -> bytes:
    if flags & _PADDED:
        payload = payload[1 : len(payload) - payload[0]]
    return payload[5:] if flags & _PRIORITY else payload


def _reason(details: str) -> str:
    status = status_pb2.Status.FromString(base64.b64decode(details + "=" * (-len(details) % 4)))
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""
