"""How a worker tells its supervisor that it answers.

Asking its port would not do: workers share it, and any of them would answer. So each is started
with the writing end of a pipe of its own, whose number is in its environment.
"""

import os

VARIABLE = "TIDEMILL_READY_FD"


def tell_ready() -> None:
    """Tell the supervisor, if there is one, that this process answers now. Only the first counts.

    Raises:
        ValueError: the variable is set, and not to a number.
    """
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return
    try:
        os.write(int(number), b"\n")
        os.close(int(number))
    except OSError:  # the supervisor has lost its interest, or is gone
        return


class Readiness:
    """The supervisor's side of one child. Make one a start."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._ready = False

    @property
    def descriptor(self) -> int:
        """What the child inherits, under the same number; `started` closes it here."""
        return self._writer

    def started(self) -> None:
        """The child has been started, and holds the only writing end from now on."""
        os.close(self._writer)

    def is_ready(self) -> bool:
        """Whether the child has said so."""
        if self._ready or self._reader < 0:
            return self._ready
        try:
            self._ready = os.read(self._reader, 1) == b"\n"
        except BlockingIOError:
            return False
        self.close()
        return self._ready

    def close(self) -> None:
        """Forget the child."""
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1
