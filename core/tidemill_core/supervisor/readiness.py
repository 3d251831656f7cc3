"""The report of a worker to its supervisor that it answers.

A call to its port cannot show that: the workers share the port, and any of them would answer. So
each worker starts with the writing end of its own pipe, whose number is in its environment.
"""

import os

VARIABLE = "TIDEMILL_READY_FD"


def report_ready() -> None:
    """Report to the supervisor, if there is one, that this process answers; once is enough.

    Raises:
        ValueError: the variable is set but is not a number.
    """
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return
    try:
        os.write(int(number), b"\n")
        os.close(int(number))
    except OSError:  # the supervisor no longer listens, or is gone
        return


class Readiness:
    """The supervisor's end of the pipe of one child. Create one for each start."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._ready = False

    @property
    def descriptor(self) -> int:
        """The descriptor that the child inherits under the same number until `started`."""
        return self._writer

    def started(self) -> None:
        """Close the writing end here, after the child was started: the child has the only one."""
        os.close(self._writer)

    def is_ready(self) -> bool:
        """Return whether the child has reported that it answers."""
        if self._ready or self._reader < 0:
            return self._ready
        try:
            self._ready = os.read(self._reader, 1) == b"\n"
        except BlockingIOError:
            return False
        self.close()
        return self._ready

    def close(self) -> None:
        """Close the pipe."""
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1
