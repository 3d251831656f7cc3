"""Header fields of gRPC over HTTP/2: metadata, timeouts, and statuses."""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from google.rpc import code_pb2

from tidemill_server.rpc.call import Metadata
from tidemill_server.rpc.status import Status
from tidemill_server.transports.transport import MAX_METADATA_BYTES

Fields = list[tuple[bytes, bytes]]

_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_TIMEOUT = re.compile(rb"[0-9]{1,8}[HMSmun]")
_OF_THE_PROTOCOL = frozenset({b"te", b"content-type", b"host"})
_PRINTABLE = "".join(chr(c) for c in range(0x20, 0x7F) if chr(c) != "%")


class InvalidHead(Exception):
    """Header fields that the protocol does not allow, or that are too large.

    Attributes:
        code: the canonical code of the refusal.
    """

    def __init__(self, message: str, code: int = code_pb2.INTERNAL) -> None:
        super().__init__(message)
        self.code = code


class Head(NamedTuple):
    """What the header fields of a call say.

    Attributes:
        content_type: without it, the request is not gRPC's.
        trailers: whether the caller takes trailers.
        timeout: in seconds; None without one.
        encoding: of compressed messages.
        metadata: the other fields.
    """

    content_type: bytes
    trailers: bool
    timeout: float | None
    encoding: bytes
    metadata: Metadata


def head_of(fields: Iterable[tuple[bytes, bytes]]) -> Head:
    """Return what the header fields of a call say.

    Raises:
        InvalidHead: there is too much metadata; or grpc-timeout, or a value of a name that ends
            in `-bin`, cannot be read.
    """
    content_type, trailers, timeout, encoding = b"", False, None, b"identity"
    metadata: list[tuple[str, str | bytes]] = []
    size = 0
    for name, value in fields:
        size += len(name) + len(value)
        if name == b"grpc-timeout":
            timeout = seconds_of(value)
        elif name == b"content-type":
            content_type = value
        elif name == b"te":
            trailers = value == b"trailers"
        elif name == b"grpc-encoding":
            encoding = value
        elif name not in _OF_THE_PROTOCOL:
            key = name.decode("ascii")
            if key.endswith("-bin"):
                metadata += [(key, _binary(name, part)) for part in value.split(b",")]
            else:
                metadata.append((key, value.decode("latin-1")))
    if size > MAX_METADATA_BYTES:
        message = f"the metadata has {size} bytes; the limit is {MAX_METADATA_BYTES}"
        raise InvalidHead(message, code_pb2.RESOURCE_EXHAUSTED)
    return Head(content_type, trailers, timeout, encoding, tuple(metadata))


def seconds_of(timeout: bytes) -> float:
    """Return the seconds of a grpc-timeout.

    Raises:
        InvalidHead: it cannot be read.
    """
    if _TIMEOUT.fullmatch(timeout) is None:
        raise InvalidHead("grpc-timeout must have 1 to 8 digits and a unit: H, M, S, m, u or n")
    return int(timeout[:-1]) * _UNITS[timeout[-1:]]


def _binary(name: bytes, value: bytes) -> bytes:
    value = value.strip().rstrip(b"=")
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as error:
        raise InvalidHead(f"{name.decode('ascii')} must be Base64") from error


def fields_of(status: Status) -> Fields:
    """Return a call's trailing fields."""
    fields = [(b"grpc-status", b"%d" % status.code)]
    if status.message:
        # The characters that the protocol does not percent-encode are printable ASCII without %.
        message = quote_from_bytes(status.message.encode("utf-8", "replace"), safe=_PRINTABLE)
        fields.append((b"grpc-message", message.encode("ascii")))
    for key, value in status.metadata:
        encoded = value.encode() if isinstance(value, str) else base64.b64encode(value).rstrip(b"=")
        fields.append((key.encode("ascii"), encoded))
    return fields
