"""A bound on the calls that follow something, each of which asks the database again and again."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tidemill_core.domain.access import Authentication
from tidemill_core.errors import ResourceExhausted
from tidemill_server.security.acting import current_caller

MAX_WATCHES = 256
"""Calls of one method, or of one page, at a time in a process."""
MAX_WATCHES_OF_CALLER = 64
"""Those of one caller with a credential."""
_RETRY_SECONDS = 5.0


class TooManyWatches(ResourceExhausted):
    """As many callers as there may be follow the same thing, or one caller as often as it may."""

    def __init__(self, found: str) -> None:
        message = f"{found} on one server process, the most it serves"
        super().__init__("TOO_MANY_STREAMS", message, _RETRY_SECONDS)


class Watches:
    """The open watches of a process, by the method's or page's path, and by path and caller."""

    def __init__(self) -> None:
        self._open: Counter[str | tuple[str, str]] = Counter()

    def check(self, path: str) -> None:
        """Raise TooManyWatches if there is no room for one more of the current caller."""
        if self._open[path] >= MAX_WATCHES:
            raise TooManyWatches(f"{MAX_WATCHES} callers follow this")
        caller = current_caller.get()
        # Callers without a credential share one id.
        is_known = caller.authentication is not Authentication.NONE
        if is_known and self._open[path, caller.caller_id] >= MAX_WATCHES_OF_CALLER:
            raise TooManyWatches(f"{caller.name!r} follows this {MAX_WATCHES_OF_CALLER} times")

    @contextmanager
    def counted(self, path: str) -> Iterator[None]:
        """Count a watch of the current caller during the block."""
        keys = (path, (path, current_caller.get().caller_id))
        self._open.update(keys)
        try:
            yield
        finally:
            self._open.subtract(keys)
            self._open += Counter()  # forgets those at 0
