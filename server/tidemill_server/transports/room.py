"""A bound on the bytes of large messages that the calls of a process hold at once."""

import asyncio

from tidemill_core.errors import ResourceExhausted

SMALL_BYTES = 16 * 1024
"""Up to this size, the bytes of a call are not counted."""
ROOM_BYTES = 32 * 1024 * 1024
"""One message of the largest size beside others: until it is answered, a message costs the process
about eight times its size (decompressed, decoded, and encoded again for Triton)."""
_RETRY_SECONDS = 1.0


class NoRoom(ResourceExhausted):
    """The large messages of other calls leave no room for one more."""

    def __init__(self, limit: int) -> None:
        message = f"large messages of all calls together may have {limit} bytes at a time"
        super().__init__("OVERLOADED", message, _RETRY_SECONDS)


class Room:
    """The room for large messages, which all calls of a process share.

    Attributes:
        limit: bytes.
        left: bytes that no call holds.
    """

    def __init__(self, limit: int = ROOM_BYTES) -> None:
        self.limit = self.left = limit


class Share:
    """What one call holds of the room."""

    __slots__ = ("_held", "_is_over", "_room")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0
        self._is_over = False

    def hold(self, size: int) -> None:
        """Hold room for the bytes of the call's messages, instead of what it held before.

        Raises:
            NoRoom: other calls leave too little; the call still holds what it held.
            CancelledError: the call is over, but its handler still reads.
        """
        if self._is_over:
            raise asyncio.CancelledError
        more = (size if size > SMALL_BYTES else 0) - self._held
        if more > self._room.left:
            raise NoRoom(self._room.limit)
        self._held += more
        self._room.left -= more

    def close(self) -> None:
        """Give everything back, and hold nothing from now on."""
        self._room.left += self._held
        self._held = 0
        self._is_over = True
