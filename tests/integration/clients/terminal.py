"""A command in its own terminal, as a person uses it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from typing import Self

_SECONDS = 60.0


class Terminal:
    """The command `tidemill` in a pseudo-terminal; a context manager that ends it.

    Attributes:
        said: its output so far.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.said = ""
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        # Nothing here answers a terminal's request for the cursor's position.
        environment = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tidemill_cli.main", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=environment,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._own)

    def expect(self, words: str) -> None:
        """Wait until it prints these words after all previously expected ones."""
        give_up = time.monotonic() + _SECONDS
        while words not in self.said:
            assert time.monotonic() < give_up, f"{words!r} is not in {self.said!r}"
            if select.select([self._own], [], [], 0.1)[0]:
                self.said += os.read(self._own, 65536).decode()
        self.said = self.said.partition(words)[2]

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self._own, keys.encode())

    def end(self) -> int:
        """Wait until it ends, and return its exit code."""
        return self._process.wait(_SECONDS)
