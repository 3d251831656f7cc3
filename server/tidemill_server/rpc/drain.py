"""The end of a server process: it refuses new calls, and ends the waits for messages."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar, cast

from tidemill_core.errors import TidemillError, Unavailable

_Item = TypeVar("_Item")


class ShuttingDown(Unavailable):
    """The server accepts no new calls."""

    reason = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("the server is shutting down")


class Wait:
    """The current task's wait, which `end` ends with an error.

    It works like `asyncio.timeout` at a quarter of the cost, because every call pays it.
    """

    __slots__ = ("_cancelling", "_error", "_task")

    def __init__(self) -> None:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._error: TidemillError | None = None

    def end(self, error: TidemillError) -> None:
        """Cancel the task because of an error; the first error counts."""
        if self._error is None:
            self._error = error
            self._task.cancel()

    def error(self) -> TidemillError | None:
        """Return why the task was cancelled; None if it was cancelled from outside, too."""
        if self._error is not None and self._task.uncancel() <= self._cancelling:
            return self._error
        return None


class Drain:
    """A switch for one event loop that admits calls until `begin` and refuses them afterwards.

    Attributes:
        draining: whether new calls are refused.
        waits: waits for messages, which the drain ends.
    """

    def __init__(self) -> None:
        self.draining = False
        self.waits: set[Wait] = set()

    def check(self) -> None:
        """Admit a call.

        Raises:
            ShuttingDown: the drain has begun.
        """
        if self.draining:
            raise ShuttingDown

    def begin(self) -> None:
        """Refuse new calls, and end the streams once the answers in flight are sent."""
        self.draining = True
        for wait in self.waits:
            wait.end(ShuttingDown())

    async def until_drained(self, items: AsyncIterator[_Item]) -> AsyncIterator[_Item]:
        """Yield the messages of a stream.

        Raises:
            ShuttingDown: the drain has begun; raised instead of waiting for the next message.
        """
        waiting = aiter(items)
        while True:
            self.check()
            wait = Wait()
            self.waits.add(wait)
            try:
                item = await anext(waiting)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if error := wait.error():
                    raise error from None
                raise
            finally:
                self.waits.discard(wait)
            yield item
