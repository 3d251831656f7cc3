"""One HTTP/2 connection that carries unary gRPC calls, on the event loop's own thread.

It speaks as much of HTTP/2 (RFC 9113) as a call to Triton needs, in clear text, and trusts the
server. docs/decisions/triton-client.md says why, with measurements.
"""

import asyncio
import socket
import struct
from typing import Any

import grpc

from tidemill_core.triton.grpc_wire import CallFailed, answer, framed, request_headers

_DATA, _HEADERS, _RST_STREAM, _SETTINGS = 0x0, 0x1, 0x3, 0x4
_PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0x6, 0x7, 0x8, 0x9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 1, 2, 4, 5
_CANCEL = 0x8
_frame_head = struct.Struct(">IBI").pack
_FRAME_HEAD = 9
"""Bytes in front of a frame's payload."""
_RESETS = {0x7: grpc.StatusCode.UNAVAILABLE, _CANCEL: grpc.StatusCode.CANCELLED}
_MOST = 2**31 - 1
_RENEW_BYTES = 2**30
"""Received bytes after which the server may send as many again."""
_SILENCE_MS = 35_000
"""Time without an acknowledgment after which the kernel gives a connection up."""


class _Stream:
    __slots__ = ("answer", "block", "content", "is_ending", "rest", "window")

    def __init__(self, message: bytes, window: int) -> None:
        self.answer: asyncio.Future[bytes | CallFailed] = asyncio.get_running_loop().create_future()
        self.window = window
        self.rest = memoryview(framed(message))  # what is not sent yet
        self.content = bytearray()
        self.block = b""  # headers whose frames have not all arrived
        self.is_ending = False


class Link(asyncio.Protocol):
    """One connection.

    Attributes:
        is_open: whether it accepts new calls.
    """

    _transport: asyncio.Transport

    def __init__(self, authority: str) -> None:
        self.is_open = True
        self._authority = authority
        self._buffer = bytearray()
        self._unsent = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._next_id = 1
        self._window = self._first_window = 65_535
        self._max_frame = 16_384
        self._received = 0

    def connection_made(self, transport: Any) -> None:
        """Send the settings; the event loop calls it."""
        self._transport = transport
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            own = transport.get_extra_info("socket")
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS)
        # Without a table of earlier headers, equal headers have equal bytes, which are cached.
        settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW_SIZE, _MOST))
        transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self._write(_SETTINGS, 0, 0, b"".join(struct.pack(">HI", *each) for each in settings))
        self._write(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _MOST - self._window))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the calls in flight; the event loop calls it."""
        self.close(f"the connection was lost: {error or 'the server closed it'}")

    def close(self, reason: str) -> None:
        """Close the connection; calls in flight fail."""
        self.is_open = False
        for stream_id in list(self._streams):
            self._end(stream_id, CallFailed(grpc.StatusCode.UNAVAILABLE, reason))
        self._transport.close()

    async def call(self, path: str, message: bytes, seconds: float) -> bytes:
        """See `Connection.call`."""
        if not self.is_open:  # lost before its first call
            raise CallFailed(grpc.StatusCode.UNAVAILABLE, "the connection was lost")
        stream_id = self._next_id
        self._next_id += 2
        if self._next_id > _MOST:
            self.is_open = False
        stream = self._streams[stream_id] = _Stream(message, self._first_window)
        headers = request_headers(path, self._authority, seconds)
        self._write(_HEADERS, _END_HEADERS, stream_id, headers)
        self._send(stream_id, stream)
        late = CallFailed(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")
        timer = asyncio.get_running_loop().call_later(seconds, self._reset, stream_id, late)
        try:
            found = await stream.answer
        finally:
            timer.cancel()
            self._reset(stream_id, CallFailed(grpc.StatusCode.CANCELLED, "canceled"))
        if isinstance(found, CallFailed):
            raise found
        return found

    def data_received(self, data: bytes) -> None:
        """Handle the frames that have arrived whole; the event loop calls it."""
        buffer, position = self._buffer, 0
        buffer += data
        try:
            while len(buffer) - position >= _FRAME_HEAD:
                start = position + _FRAME_HEAD
                end = start + int.from_bytes(buffer[position : position + 3])
                if len(buffer) < end:
                    break
                kind, flags = buffer[position + 3], buffer[position + 4]
                stream_id = int.from_bytes(buffer[position + 5 : start])
                self._take(kind, flags, stream_id, bytes(buffer[start:end]))
                position = end
        except Exception as error:  # the server does not speak HTTP/2, or breaks its rules
            self.close(f"unexpected bytes: {error!r}")
        del buffer[:position]

    def _take(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Handle a frame; unknown ones are ignored, as HTTP/2 demands."""
        stream = self._streams.get(stream_id)
        if kind == _DATA:
            self._acknowledge(len(payload))
        if stream is not None and kind in (_DATA, _HEADERS, _CONTINUATION):
            self._take_part(kind, flags, stream_id, stream, payload)
        elif kind == _RST_STREAM:
            code = _RESETS.get(int.from_bytes(payload), grpc.StatusCode.INTERNAL)
            self._end(stream_id, CallFailed(code, "the server reset the call"))
        elif kind == _WINDOW_UPDATE:
            self._widen(stream_id, stream, int.from_bytes(payload))
        elif kind == _SETTINGS and not flags & _ACK:
            self._apply(payload)
        elif kind == _PING and not flags & _ACK:
            self._write(_PING, _ACK, 0, payload)
        elif kind == _GOAWAY:
            self._finish(int.from_bytes(payload[:4]))

    def _take_part(
        self, kind: int, flags: int, stream_id: int, stream: _Stream, payload: bytes
    ) -> None:
        """Take a part of a response: headers, the message, and trailers with the status."""
        if kind != _CONTINUATION:
            stream.is_ending = bool(flags & _END_STREAM)
            if flags & _PADDED:
                payload = payload[1 : len(payload) - payload[0]]
        if kind == _DATA:
            stream.content += payload
        else:
            stream.block += payload[5 if kind == _HEADERS and flags & _PRIORITY else 0 :]
            if not flags & _END_HEADERS:
                return
        if stream.is_ending:
            self._end(stream_id, answer(stream.block, stream.content))
        elif kind != _DATA:
            stream.block = b""

    def _acknowledge(self, count: int) -> None:
        self._received += count
        if self._received >= _RENEW_BYTES:
            self._write(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._received))
            self._received = 0

    def _widen(self, stream_id: int, stream: _Stream | None, more: int) -> None:
        if stream_id == 0:
            self._window += more
        elif stream is not None:
            stream.window += more
        self._send_all()

    def _apply(self, settings: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", settings):
            if name == _INITIAL_WINDOW_SIZE:
                for stream in self._streams.values():
                    stream.window += value - self._first_window
                self._first_window = value
            elif name == _MAX_FRAME_SIZE:
                self._max_frame = value
        self._write(_SETTINGS, _ACK, 0, b"")
        self._send_all()

    def _finish(self, last_id: int) -> None:
        """Accept no new calls; those that the server has not seen fail."""
        self.is_open = False
        ending = CallFailed(grpc.StatusCode.UNAVAILABLE, "the server is ending")
        for stream_id in [each for each in self._streams if each > last_id]:
            self._end(stream_id, ending)
        if not self._streams:
            self._transport.close()

    def _send_all(self) -> None:
        for stream_id, stream in self._streams.items():
            self._send(stream_id, stream)

    def _send(self, stream_id: int, stream: _Stream) -> None:
        """Send as much of a message as the server has room for."""
        while stream.rest:
            size = min(self._window, stream.window, self._max_frame, len(stream.rest))
            if size <= 0:
                return
            part, stream.rest = stream.rest[:size], stream.rest[size:]
            self._window -= size
            stream.window -= size
            self._write(_DATA, 0 if stream.rest else _END_STREAM, stream_id, part)

    def _reset(self, stream_id: int, failure: CallFailed) -> None:
        """End a call that is still in flight, here and at the server."""
        if stream_id in self._streams:
            self._write(_RST_STREAM, 0, stream_id, struct.pack(">I", _CANCEL))
            self._end(stream_id, failure)

    def _end(self, stream_id: int, found: bytes | CallFailed) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None and not stream.answer.done():
            stream.answer.set_result(found)
        if not self.is_open and not self._streams:
            self._transport.close()

    def _write(self, kind: int, flags: int, stream_id: int, payload: bytes | memoryview) -> None:
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += _frame_head(len(payload) << 8 | kind, flags, stream_id) + payload

    def _flush(self) -> None:
        """Write the frames of this turn of the loop at once."""
        if not self._transport.is_closing():
            self._transport.write(bytes(self._unsent))
        self._unsent.clear()
