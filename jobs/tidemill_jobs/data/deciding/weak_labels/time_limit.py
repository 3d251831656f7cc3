"""A limit on the time that the workspace's own code takes."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class TookTooLong(BaseException):
    """Code ran for longer than its limit; `except Exception` in that code does not catch it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"it took over {seconds:g} s")


@contextmanager
def time_limit(seconds: float) -> Iterator[Callable[[], None]]:
    """Raise TookTooLong in the code of this context once it has run for `seconds`.

    It works in a process's main thread, where runs of jobs are, and has no effect in others.

    Yields:
        A function that starts the time again.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def expired(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLong(seconds)

    def start() -> None:
        # Again after as long, in case the code catches every error and goes on.
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds)

    before = signal.signal(signal.SIGALRM, expired)
    try:
        start()
        yield start
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
