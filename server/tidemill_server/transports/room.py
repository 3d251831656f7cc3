"""A bound on the bytes of large messages that the calls of a process hold at once."""

from tidemill_core.errors import ResourceExhausted

SMALL_BYTES = 64 * 1024
"""Up to this size, the bytes of a call are not counted."""
ROOM_BYTES = 48 * 1024 * 1024
_RETRY_SECONDS = 1.0


class NoRoom(ResourceExhausted):
    """The large messages of other calls leave no room for one more."""

    def __init__(self, limit: int) -> None:
        message = f"large messages of all calls together may have {limit} bytes at a time"
        super().__init__("OVERLOADED", message, _RETRY_SECONDS)


class Room:
    """The room for large messages, which all calls of a process share.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int = ROOM_BYTES) -> None:
        self._limit = limit
        self.left = limit

    def resize(self, held: int, size: int) -> int:
        """Change what a call holds, and return what it holds from now on.

        Args:
            held: bytes that the call holds, as returned before; 0 at its start.
            size: bytes of its messages now.

        Raises:
            NoRoom: other calls leave too little; the call still holds what it held.
        """
        size = size if size > SMALL_BYTES else 0
        if size - held > self.left:
            raise NoRoom(self._limit)
        self.left -= size - held
        return size
