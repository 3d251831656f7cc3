"""An HTTP/2 connection for prepared gRPC calls, with as little Python per call as possible.

A full HTTP/2 library costs more than the measured servers, and h2load repeats one body. This one
sends prepared header blocks and allows the server no header table, so that it can skip the header
blocks of answers. It decodes only the header blocks of refusals.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from google.rpc import error_details_pb2, status_pb2
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_HEADER_TABLE_SIZE, _MOST_STREAMS, _INITIAL_WINDOW_SIZE = 1, 3, 4
_FIRST_WINDOW = 65_535
_LARGEST_WINDOW = 2**31 - 1
_LARGEST_FRAME = 16_384
_FRAME_HEADER = 9

Done = Callable[[bytes, float | None], None]
"""A callback for the end of a call: its answer, and for a refusal the seconds to wait."""


def header_block(authority: str, path: str, metadata: Sequence[tuple[str, str]]) -> bytes:
    """Return the header block of calls, which never changes the server's header table.

    Args:
        authority: host:port.
        path: `/package.Service/Method`.
        metadata: the metadata of each call.
    """
    headers = [(":method", "POST"), (":scheme", "http"), (":path", path)]
    headers += [(":authority", authority), ("te", "trailers")]
    headers += [("content-type", "application/grpc"), *metadata]
    unindexed = [NeverIndexedHeaderTuple(name, value) for name, value in headers]
    return Encoder().encode(unindexed, huffman=False)


class Connection(asyncio.Protocol):
    """Sends calls and reports the outcome of each.

    Args:
        obeys: whether the seconds in a refusal's RetryInfo are read; otherwise they are 0.
    """

    def __init__(self, obeys: bool = True) -> None:
        self._obeys = obeys
        self._calls: dict[int, Done] = {}
        self._answers: dict[int, bytes] = {}
        self._queued: deque[tuple[bytes, bytes, Done]] = deque()
        self._unsent: dict[int, tuple[bytes, int]] = {}
        self._next_stream = 1
        self._most_streams = _LARGEST_WINDOW
        self._window = self._stream_window = _FIRST_WINDOW
        self._received = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the settings: no header table, and no flow control of answers."""
        self._transport = cast("asyncio.Transport", transport)
        pairs = ((_HEADER_TABLE_SIZE, 0), (_INITIAL_WINDOW_SIZE, _LARGEST_WINDOW))
        settings = b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in pairs)
        growth = (_LARGEST_WINDOW - _FIRST_WINDOW).to_bytes(4, "big")
        self._transport.write(
            _PREFACE + frame(_SETTINGS, 0, 0, settings) + frame(_WINDOW, 0, 0, growth)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember that no more answers will come."""
        del exc
        self.lost = True

    def call(self, headers: bytes, body: bytes, done: Done) -> None:
        """Send length-prefixed messages as soon as the server's limits allow it.

        Args:
            headers: of `header_block`.
            body: the messages.
            done: called at the end of the call.
        """
        if len(self._calls) >= self._most_streams:
            self._queued.append((headers, body, done))
            return
        stream = self._next_stream
        self._next_stream += 2
        self._calls[stream] = done
        opening = frame(_HEADERS, _END_HEADERS, stream, headers)
        if len(body) <= min(self._window, self._stream_window, _LARGEST_FRAME):
            self._window -= len(body)
            self._transport.write(opening + frame(_DATA, _END_STREAM, stream, body))
            return
        self._transport.write(opening)
        self._send(stream, body, self._stream_window)

    def _send(self, stream: int, body: bytes, window: int) -> None:
        """Send what both windows allow, and keep the rest."""
        self._unsent.pop(stream, None)
        begin = 0
        while begin < len(body):
            size = min(len(body) - begin, self._window, window, _LARGEST_FRAME)
            if size <= 0:
                self._unsent[stream] = body[begin:], window
                return
            self._window -= size
            window -= size
            ends = _END_STREAM if begin + size == len(body) else 0
            self._transport.write(frame(_DATA, ends, stream, body[begin : begin + size]))
            begin += size

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
            self._answers[stream] = self._answers.get(stream, b"") + payload
        elif kind == _HEADERS and flags & _END_STREAM:
            answer = self._answers.pop(stream, b"")
            self._end(stream, answer, None if answer else self._pause(payload))
        elif kind == _RESET:
            self._answers.pop(stream, None)
            self._end(stream, b"", 0.0)
        elif kind == _SETTINGS and not flags & _ACK:
            self._obey(payload)
            self._transport.write(frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._transport.write(frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW:
            self._grow(stream, int.from_bytes(payload, "big"))
        elif kind == _AWAY:
            raise ConnectionError(f"the server sent GOAWAY: {payload[8:]!r}")

    def _pause(self, refusal: bytes) -> float:
        return _retry_delay(refusal) if self._obeys else 0.0

    def _end(self, stream: int, answer: bytes, retry_after: float | None) -> None:
        self._unsent.pop(stream, None)
        if done := self._calls.pop(stream, None):
            done(answer, retry_after)
        if self._queued and len(self._calls) < self._most_streams:
            self.call(*self._queued.popleft())

    def _obey(self, settings: bytes) -> None:
        for begin in range(0, len(settings), 6):
            name = int.from_bytes(settings[begin : begin + 2], "big")
            value = int.from_bytes(settings[begin + 2 : begin + 6], "big")
            if name == _MOST_STREAMS:
                self._most_streams = value
            elif name == _INITIAL_WINDOW_SIZE:
                growth, self._stream_window = value - self._stream_window, value
                for stream, (body, window) in list(self._unsent.items()):
                    self._send(stream, body, window + growth)

    def _grow(self, stream: int, growth: int) -> None:
        if stream == 0:
            self._window += growth
        for waiting, (body, window) in list(self._unsent.items()):
            if stream in (0, waiting):
                self._send(waiting, body, window + (growth if stream else 0))

    def parts(self) -> list[bytes]:
        """Return what has arrived of answers that have not ended."""
        return list(self._answers.values())

    def close(self) -> None:
        """Close the connection; calls in flight are dropped."""
        self._calls.clear()
        self._queued.clear()
        self._transport.close()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame."""
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
