"""What may be wrong with a call's transport."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.integration.server.fuzzing.exchange import Exchange

Fault = Callable[[Exchange], Exchange]


def _header(name: str, *values: str) -> Fault:
    """Return a fault that replaces a header by others of its name, or removes it."""

    def apply(exchange: Exchange) -> Exchange:
        kept = [pair for pair in exchange.headers if pair[0] != name]
        added = [(name, value) for value in values]
        pairs = [*added, *kept] if name.startswith(":") else [*kept, *added]
        return replace(exchange, headers=tuple(pairs))

    return apply


def _body(change: Callable[[bytes], bytes]) -> Fault:
    return lambda exchange: replace(exchange, body=change(exchange.body))


FAULTS: Mapping[str, Fault] = {
    "GET": _header(":method", "GET"),
    "no path": _header(":path"),
    "an empty path": _header(":path", ""),
    "an unknown service": _header(":path", "/tidemill.v1.Nothing/Predict"),
    "an unknown method": _header(":path", "/tidemill.v1.PredictionService/Nothing"),
    "a path without a method": _header(":path", "/tidemill.v1.PredictionService"),
    "a path without a slash": _header(":path", "tidemill.v1.PredictionService/Predict"),
    "a path with an escape": _header(":path", "/tidemill.v1.PredictionService/Pre%64ict"),
    "a path with a query": _header(":path", "/tidemill.v1.PredictionService/Predict?x=1"),
    "two paths": _header(":path", "/a/b", "/tidemill.v1.PredictionService/Predict"),
    "another content type": _header("content-type", "text/plain"),
    "JSON": _header("content-type", "application/grpc+json"),
    "gRPC-Web": _header("content-type", "application/grpc-web"),
    "no content type": _header("content-type"),
    "no te": _header("te"),
    "another te": _header("te", "gzip"),
    "a timeout without a unit": _header("grpc-timeout", "5"),
    "a timeout of an unknown unit": _header("grpc-timeout", "5X"),
    "a negative timeout": _header("grpc-timeout", "-5S"),
    "a timeout of nine digits": _header("grpc-timeout", "123456789m"),
    "a timeout of no digits": _header("grpc-timeout", "S"),
    "a timeout of nothing": _header("grpc-timeout", "0n"),
    "an unknown encoding": _header("grpc-encoding", "snappy"),
    "a broken binary header": _header("x-data-bin", "%%%"),
    "an upper-case header": _header("X-Data", "x"),
    "a header of connections": _header("connection", "close"),
    "an unknown pseudo-header": _header(":data", "x"),
    "a line break in a header": _header("x-data", "a\r\nb"),
    "a null byte in a header": _header("x-data", "a\0b"),
    "a body of no message": _body(lambda _body: b""),
    "half a prefix": _body(lambda body: body[:3]),
    "half a message": _body(lambda body: body[: 5 + (len(body) - 5) // 2]),
    "a message and half a prefix": _body(lambda body: body + body[:3]),
    "a length beyond the body": _body(lambda body: body[:1] + b"\0\1\0\0" + body[5:]),
    "a length of 4 GB": _body(lambda body: body[:1] + b"\xff\xff\xff\xff" + body[5:]),
    "an unknown flag": _body(lambda body: b"\2" + body[1:]),
    "compressed without an encoding": _body(lambda body: b"\1" + body[1:]),
    "the message twice": _body(lambda body: body + body),
    "trailers": lambda exchange: replace(exchange, trailers=(("x-end", "y"),)),
    "trailers with a pseudo-header": lambda exchange: replace(exchange, trailers=((":path", "y"),)),
}
"""What may be wrong with a call's transport."""
LENIENT = (
    "two paths",
    "JSON",
    "gRPC-Web",
    "another content type",
    "no content type",
    "a timeout of nine digits",
    "a header of connections",
    "a line break in a header",
    "a null byte in a header",
    "an unknown pseudo-header",
    "an unknown flag",
    "a length beyond the body",
    "half a message",
    "half a prefix",
    "a message and half a prefix",
    "trailers with a pseudo-header",
)
"""Faults that the grpcio transport overlooks in some calls, and the h2corn transport refuses."""
