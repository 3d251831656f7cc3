"""A caller that speaks HTTP/2 itself, so that it can break gRPC's rules."""

import socket
from collections.abc import Iterable, Iterator

import h2.config
import h2.connection
import h2.events

_FIRST_WINDOW = 65_535
Headers = list[tuple[str, str]]


def frame(message: bytes, flag: int = 0) -> bytes:
    """Return a gRPC message with its prefix."""
    return bytes((flag,)) + len(message).to_bytes(4, "big") + message


class RawCaller:
    """One connection; a context manager."""

    def __init__(self, address: str) -> None:
        host, _, port = address.partition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self._connection = h2.connection.H2Connection(config)
        self._connection.initiate_connection()
        self._send()
        events = self._events()
        while self._connection.outbound_flow_control_window == _FIRST_WINDOW:
            next(events)  # until the server has widened it

    def __enter__(self) -> "RawCaller":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, path: str, body: bytes, headers: Iterable[tuple[str, str]] = ()) -> int:
        """Send a whole call, and return its stream."""
        stream = self._connection.get_next_available_stream_id()
        fields: Headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", path),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *headers,
        ]
        self._connection.send_headers(stream, fields)
        most = self._connection.max_outbound_frame_size
        for start in range(0, len(body), most):
            self._connection.send_data(stream, body[start : start + most])
        self._connection.end_stream(stream)
        self._send()
        return stream

    def reset(self, stream: int) -> None:
        """Cancel a call."""
        self._connection.reset_stream(stream, error_code=8)
        self._send()

    def ends(self, count: int) -> list[dict[str, str]]:
        """Return the last header fields of ended calls, with `:stream`, once `count` have ended."""
        found: dict[int, dict[str, str]] = {}
        ended = 0
        for event in self._events():
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                assert event.stream_id is not None
                fields = found.setdefault(event.stream_id, {})
                fields |= dict(event.headers or ())
            if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                ended += 1
                if ended == count:
                    return list(found.values())
        raise AssertionError(f"the connection ended after {ended} of {count} calls")

    def error_code(self) -> int | None:
        """Return the GOAWAY's code once the server closes the connection."""
        for event in self._events():
            if isinstance(event, h2.events.ConnectionTerminated):
                return event.error_code
        return None

    def _events(self) -> Iterator[h2.events.Event]:
        while data := self._socket.recv(65536):
            yield from self._connection.receive_data(data)
            self._send()

    def _send(self) -> None:
        self._socket.sendall(self._connection.data_to_send())
