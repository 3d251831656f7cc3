"""Files whose changes workers must learn of."""

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

_LOOK_SECONDS = 1.0


class FileWatch:
    """A look at the content of files, once a second."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = sorted(set(files))
        self._known = self._last = self._digest()
        self._next_look = 0.0

    def have_changed(self) -> bool:
        """Return whether the files have changed, once for each change.

        A change counts when two looks have found the same, so that files that are being written,
        or replaced one after another, are complete.
        """
        now = time.monotonic()
        if now < self._next_look or not self._files:
            return False
        self._next_look = now + _LOOK_SECONDS
        found = self._digest()
        is_settled, self._last = found == self._last, found
        if not is_settled or found == self._known:
            return False
        self._known = found
        return True

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        for file in self._files:
            try:
                digest.update(hashlib.sha256(file.read_bytes()).digest())
            except OSError:  # it is missing now
                digest.update(b"-")
        return digest.digest()
