"""Messages out of the parts of a body, and the room that large ones share."""

import asyncio
import gzip
from typing import Any

import pytest

from tidemill_server.rpc.decoding import MalformedMessage, MessageTooLarge
from tidemill_server.transports.framing import MessageReader
from tidemill_server.transports.room import SMALL_BYTES, NoRoom, Room, Share

MAX_BYTES = 1_000_000


def framed(message: bytes, compressed: bool = False) -> bytes:
    """Return a message with its prefix."""
    content = gzip.compress(message) if compressed else message
    return bytes((compressed,)) + len(content).to_bytes(4, "big") + content


def reader(room: Room | Share, *parts: bytes, more: bool = False) -> MessageReader:
    """Return a reader of a body that arrives in parts."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        part = left.pop(0) if left else b""
        return {"type": "http.request", "body": part, "more_body": more or bool(left)}

    share = room if isinstance(room, Share) else Share(room)
    return MessageReader(receive, b"gzip", MAX_BYTES, share)


@pytest.mark.parametrize("compressed", [False, True])
async def test_large_messages_share_room(compressed: bool) -> None:
    """A message that does not fit beside another is refused, until the other call has ended."""
    room, message = Room(150_000), bytes(100_000)
    body = framed(message, compressed)
    first, second = Share(room), Share(room)
    assert await reader(first, body).next() == message
    with pytest.raises(NoRoom):
        await reader(second, body).next()
    second.close()
    first.close()
    assert room.left == 150_000
    assert await reader(room, body).next() == message


async def test_parts_of_a_message_count_before_it_is_complete() -> None:
    """What has arrived of a large message takes room, and a call that ends gives it back."""
    room = Room(150_000)
    share = Share(room)
    parts = [framed(bytes(300_000))[i : i + 16_000] for i in range(0, 300_005, 16_000)]
    with pytest.raises(NoRoom):
        await reader(share, *parts, more=True).next()
    assert room.left < 150_000
    share.close()
    assert room.left == 150_000


async def test_a_call_that_is_over_holds_nothing() -> None:
    """A handler that outlives its call cannot read on, so it takes no room that stays taken."""
    room = Room(150_000)
    share = Share(room)
    reading = reader(share, framed(bytes(100_000)))
    share.close()
    with pytest.raises(asyncio.CancelledError):
        await reading.next()
    assert room.left == 150_000


async def test_small_messages_need_no_room() -> None:
    """Messages up to SMALL_BYTES are read even when there is no room."""
    room, message = Room(0), bytes(SMALL_BYTES - 5)
    for compressed in (False, True):
        assert await reader(room, framed(message, compressed)).next() == message


async def test_the_methods_limit_comes_before_the_room() -> None:
    """A compressed message above the method's limit is MESSAGE_TOO_LARGE."""
    room = Room(2 * MAX_BYTES)
    with pytest.raises(MessageTooLarge):
        await reader(room, framed(bytes(MAX_BYTES + 1), compressed=True)).next()


@pytest.mark.parametrize("message", [b"", bytes(700_000)])
async def test_compressed_messages_are_decompressed_whole(message: bytes) -> None:
    """Empty messages and messages of many steps come out as they went in."""
    assert await reader(Room(MAX_BYTES), framed(message, compressed=True)).next() == message


@pytest.mark.parametrize("cut", [3, -3])
async def test_a_compressed_message_that_is_cut_is_malformed(cut: int) -> None:
    """A message whose compressed form ends too early is MALFORMED_MESSAGE."""
    content = gzip.compress(bytes(1000))[:cut]
    body = b"\1" + len(content).to_bytes(4, "big") + content
    with pytest.raises(MalformedMessage):
        await reader(Room(), body).next()
