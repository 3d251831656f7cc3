"""Messages of gRPC over HTTP/2: a flag, four bytes of length, and the message."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

from tidemill_server.rpc.decoding import MalformedMessage, MessageTooLarge
from tidemill_server.transports.room import SMALL_BYTES, Share

PREFIX_BYTES = 5
ENCODINGS = {b"gzip": 31, b"deflate": 15}
"""The encodings of compressed messages, with zlib's numbers for their windows."""
_STEP_BYTES = 256 * 1024
"""Bytes that are decompressed at once."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class MessageReader:
    """Reads the messages of one call.

    Args:
        receive: returns the next event of the request's body.
        encoding: of compressed messages.
        max_bytes: the largest message, before and after it is decompressed.
        share: what the call holds of the room for large messages.
    """

    __slots__ = ("_buffer", "_encoding", "_is_over", "_max_bytes", "_receive", "_share")

    def __init__(self, receive: Receive, encoding: bytes, max_bytes: int, share: Share) -> None:
        self._receive = receive
        self._encoding = encoding
        self._max_bytes = max_bytes
        self._share = share
        self._buffer = bytearray()
        self._is_over = False

    async def next(self) -> bytes | None:
        """Return the next message; None after the last.

        Raises:
            MessageTooLarge: it is larger than `max_bytes`.
            MalformedMessage: it is incomplete or cannot be decompressed.
            NoRoom: the large messages of other calls leave no room for it.
            CancelledError: the caller reset the stream, its connection broke, or the call is over.
        """
        buffer = self._buffer
        if not buffer:
            part = await self._part()
            # Mostly, the first part of a body is one whole message.
            if part[:1] == b"\0" and len(part) == PREFIX_BYTES + int.from_bytes(part[1:5], "big"):
                self._share.hold(len(part))
                return self._bounded(part[PREFIX_BYTES:])
            buffer += part
        while len(buffer) < (size := self._frame_bytes()):
            if self._is_over and not buffer:
                return None
            if self._is_over:
                raise MalformedMessage("is incomplete; the call was half-closed in the middle")
            buffer += await self._part()
            self._share.hold(len(buffer))
        with memoryview(buffer) as view:
            message = bytes(view[PREFIX_BYTES:size])
        is_compressed = buffer[0] == 1
        del buffer[:size]
        return await self._decompressed(message) if is_compressed else message

    async def _part(self) -> bytes:
        """Return the next part of the body; empty after the last."""
        if self._is_over:
            return b""
        event = await self._receive()
        if event["type"] == "http.disconnect":
            raise asyncio.CancelledError
        self._is_over = not event.get("more_body", False)
        part: bytes = event.get("body", b"")
        return part

    def _frame_bytes(self) -> int:
        """Return the size of the frame at the beginning of the buffer, as far as it is known."""
        if len(self._buffer) < PREFIX_BYTES:
            return PREFIX_BYTES
        if self._buffer[0] > 1:
            raise MalformedMessage("has a prefix whose first byte is neither 0 nor 1")
        size = int.from_bytes(self._buffer[1:PREFIX_BYTES], "big")
        if size > self._max_bytes:
            raise MessageTooLarge(self._max_bytes)
        return PREFIX_BYTES + size

    def _bounded(self, message: bytes) -> bytes:
        if len(message) > self._max_bytes:
            raise MessageTooLarge(self._max_bytes)
        return message

    async def _decompressed(self, message: bytes) -> bytes:
        window = ENCODINGS.get(self._encoding)
        if window is None:
            raise MalformedMessage("is compressed, but grpc-encoding names no encoding")
        inflater, content = zlib.decompressobj(window), bytearray()
        try:
            while not inflater.eof:
                part = inflater.decompress(message, _STEP_BYTES)
                if not part and not inflater.eof:
                    raise MalformedMessage("cannot be decompressed; it is incomplete")
                message = inflater.unconsumed_tail
                content += part
                if len(content) > self._max_bytes:
                    raise MessageTooLarge(self._max_bytes)
                self._share.hold(len(self._buffer) + len(content))
                if len(content) > SMALL_BYTES:
                    await asyncio.sleep(0)  # other calls have their turn between two steps
            return bytes(content)
        except zlib.error as error:
            raise MalformedMessage("cannot be decompressed") from error
        finally:
            content.clear()  # an error's traceback would keep it
