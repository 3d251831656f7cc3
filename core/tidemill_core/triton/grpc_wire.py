"""Unary gRPC calls as HTTP/2 carries them: request headers, messages and the status."""

import struct
from functools import lru_cache
from urllib.parse import unquote

import grpc
from hpack import Decoder
from hpack.hpack import encode_integer

_CODES = {str(code.value[0]): code for code in grpc.StatusCode}
_HEAD = 5
"""Bytes in front of a message."""
_MAX_MILLISECONDS = 99_999_999
"""gRPC's timeouts have up to eight digits."""


class CallFailed(Exception):
    """A call ended with another status than OK."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


def request_headers(path: str, authority: str, seconds: float) -> bytes:
    """Return the encoded headers of a call.

    Args:
        path: such as `/inference.GRPCInferenceService/ModelInfer`.
        authority: host:port of the server.
        seconds: the time that is left to the call.
    """
    milliseconds = max(1, min(int(seconds * 1000), _MAX_MILLISECONDS))
    return _constant_headers(path, authority) + _literal("grpc-timeout", f"{milliseconds}m")


def framed(message: bytes) -> bytes:
    """Return a message with its head."""
    return struct.pack(">BI", 0, len(message)) + message


def answer(trailers: bytes, content: bytearray) -> bytes | CallFailed:
    """Return the message of a response that has ended, or its error."""
    headers = _decoded(trailers)
    status = headers.get("grpc-status", "")
    if status != "0":
        http = f"HTTP status {headers.get(':status')} without a gRPC status"
        code = _CODES.get(status, grpc.StatusCode.UNKNOWN)
        return CallFailed(code, unquote(headers.get("grpc-message", "")) if status else http)
    if len(content) < _HEAD or content[0] or int.from_bytes(content[1:5]) != len(content) - 5:
        return CallFailed(grpc.StatusCode.INTERNAL, "the response is not one plain message")
    return bytes(content[_HEAD:])


@lru_cache(maxsize=256)
def _decoded(block: bytes) -> dict[str, str]:
    """Decode headers; a server repeats the same few blocks."""
    found = Decoder().decode(block, raw=True)
    return {bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in found}


@lru_cache(maxsize=256)
def _constant_headers(path: str, authority: str) -> bytes:
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(_literal(*each) for each in headers.items())


def _literal(name: str, value: str) -> bytes:
    """Return a header that is not indexed and not Huffman coded (RFC 7541, 6.2.2)."""
    return (
        b"\0"
        + encode_integer(len(name), 7)
        + name.encode()
        + encode_integer(len(value), 7)
        + value.encode()
    )
