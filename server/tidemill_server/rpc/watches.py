"""A bound on the calls that follow something, each of which asks the database again and again."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tidemill_core.errors import ResourceExhausted

MAX_WATCHES = 256
"""Calls of one method, or of one page, at a time in a process."""
_RETRY_SECONDS = 5.0


class TooManyWatches(ResourceExhausted):
    """As many callers as there may be follow the same thing."""

    def __init__(self) -> None:
        message = f"{MAX_WATCHES} callers follow this on one server process, the most it serves"
        super().__init__("TOO_MANY_STREAMS", message, _RETRY_SECONDS)


class Watches:
    """The open watches of a process, by the method's or page's path."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def check(self, path: str) -> None:
        """Raise TooManyWatches if there is no room for one more."""
        if self._open[path] >= MAX_WATCHES:
            raise TooManyWatches

    @contextmanager
    def counted(self, path: str) -> Iterator[None]:
        """Count a watch during the block."""
        self._open[path] += 1
        try:
            yield
        finally:
            self._open[path] -= 1
