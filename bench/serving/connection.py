"""An HTTP/2 connection for prepared gRPC calls, with as little Python per call as possible.

A full HTTP/2 library costs more than the measured servers. This one sends the same header block
with every call and allows the server no header table, so that it can skip the header blocks of
answers. It decodes only the header blocks of refusals.
"""

import asyncio
import base64
from collections.abc import Callable, Sequence
from typing import cast

from google.rpc import error_details_pb2, status_pb2
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE = 1, 4
_FIRST_WINDOW = 65_535
_LARGEST_WINDOW = 2**31 - 1
_FRAME_HEADER = 9

Done = Callable[[float | None], None]
"""A callback for the end of a call: gets None for an answer, or a refusal's seconds to wait."""


class Connection(asyncio.Protocol):
    """Sends unary calls of one method and reports the outcome of each.

    Args:
        authority: host:port.
        path: `/package.Service/Method`.
        metadata: the metadata of each call.
    """

    def __init__(self, authority: str, path: str, metadata: Sequence[tuple[str, str]]) -> None:
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path)]
        headers += [(":authority", authority), ("te", "trailers")]
        headers += [("content-type", "application/grpc"), *metadata]
        # Nothing enters the server's table, so the same block can be sent with every call.
        unindexed = [NeverIndexedHeaderTuple(name, value) for name, value in headers]
        self._headers = Encoder().encode(unindexed, huffman=False)
        self._calls: dict[int, Done] = {}
        self._answered: set[int] = set()
        self._waiting: list[tuple[bytes, Done]] = []
        self._next_stream = 1
        self._window = _FIRST_WINDOW
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the settings: no header table, and no flow control of answers."""
        self._transport = cast("asyncio.Transport", transport)
        pairs = ((_HEADER_TABLE_SIZE, 0), (_INITIAL_WINDOW_SIZE, _LARGEST_WINDOW))
        settings = b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in pairs)
        growth = (_LARGEST_WINDOW - _FIRST_WINDOW).to_bytes(4, "big")
        self._transport.write(
            _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW, 0, 0, growth)
        )

    def call(self, body: bytes, done: Done) -> None:
        """Send one length-prefixed message as soon as the server's window allows it."""
        if len(body) > self._window:
            self._waiting.append((body, done))
            return
        self._window -= len(body)
        stream = self._next_stream
        self._next_stream += 2
        self._calls[stream] = done
        self._transport.write(
            _frame(_HEADERS, _END_HEADERS, stream, self._headers)
            + _frame(_DATA, _END_STREAM, stream, body)
        )

    def data_received(self, data: bytes) -> None:
        """Process complete frames; keep the rest for the next call."""
        data = self._received + data
        begin = 0
        while len(data) - begin >= _FRAME_HEADER:
            end = begin + _FRAME_HEADER + int.from_bytes(data[begin : begin + 3], "big")
            if end > len(data):
                break
            stream = int.from_bytes(data[begin + 5 : begin + _FRAME_HEADER], "big")
            self._take(data[begin + 3], data[begin + 4], stream, data[begin + _FRAME_HEADER : end])
            begin = end
        self._received = data[begin:]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _DATA and payload:
            self._answered.add(stream)
        elif kind == _HEADERS and flags & _END_STREAM:
            answered = stream in self._answered
            self._answered.discard(stream)
            self._calls.pop(stream)(None if answered else _retry_delay(payload))
        elif kind == _RESET:
            self._answered.discard(stream)
            if done := self._calls.pop(stream, None):
                done(0.0)
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            echoed = payload if kind == _PING else b""
            self._transport.write(_frame(kind, _ACK, 0, echoed))
        elif kind == _WINDOW and stream == 0:
            self._window += int.from_bytes(payload, "big")
            while self._waiting and len(self._waiting[0][0]) <= self._window:
                self.call(*self._waiting.pop(0))
        elif kind == _AWAY:
            raise ConnectionError(f"the server sent GOAWAY: {payload[8:]!r}")

    def close(self) -> None:
        """Close the connection; calls in flight are dropped."""
        self._calls.clear()
        self._transport.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    header = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return header + stream.to_bytes(4, "big") + payload


def _retry_delay(block: bytes) -> float:
    """Return the seconds in a refusal's RetryInfo; 0 if it has none."""
    for name, value in Decoder().decode(block, raw=True):
        if name == b"grpc-status-details-bin":
            padded = value + b"=" * (-len(value) % 4)
            for detail in status_pb2.Status.FromString(base64.b64decode(padded)).details:
                wanted = error_details_pb2.RetryInfo()
                if detail.Unpack(wanted):
                    return float(wanted.retry_delay.ToTimedelta().total_seconds())
    return 0.0
