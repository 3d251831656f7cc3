"""How many requests of a stream may be under way: fewer, the more streams are open when it opens.

What a stream's caller does not read is held here, so streams share a bound. A window does not
change while its stream lives.
"""

import contextlib
from collections.abc import Iterator

MAX_WINDOW = 256
"""Requests of one stream that are under way at a time; a faster caller is held back."""
MIN_WINDOW = 2
_SHARED = 16_384


class StreamWindows:
    """The windows of all streams of this process."""

    def __init__(self) -> None:
        self._open = 0

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """The window of a stream that is open until the block ends."""
        self._open += 1
        try:
            yield max(MIN_WINDOW, min(MAX_WINDOW, _SHARED // self._open))
        finally:
            self._open -= 1
