"""The sources of texts for asyncio's `predict_many`."""

import asyncio
from collections.abc import AsyncIterable, Iterable


class Texts:
    """Texts that are available immediately."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = iter(texts)
        self.is_exhausted = False

    def take(self) -> tuple[str] | None:
        """Return the next text in a tuple, since it may be None itself; None at the end."""
        for text in self._texts:
            return (text,)
        self.is_exhausted = True
        return None

    async def close(self) -> None:
        """Do nothing: no text is being read."""


class AsyncTexts:
    """Texts to wait for, one at a time."""

    def __init__(self, texts: AsyncIterable[str], woken: asyncio.Event) -> None:
        self._texts = aiter(texts)
        self._woken = woken
        self._next: asyncio.Task[str] | None = None
        self.is_exhausted = False

    def take(self) -> tuple[str] | None:
        """See `Texts.take`. If there is no text yet, return None, and set `woken` once there is.

        Raises:
            Exception: any error of the iterable.
        """
        if self.is_exhausted:
            return None
        if self._next is None:
            self._next = asyncio.ensure_future(self._read())
            self._next.add_done_callback(lambda _: self._woken.set())
        if not self._next.done():
            return None
        finished, self._next = self._next, None
        try:
            return (finished.result(),)
        except StopAsyncIteration:
            self.is_exhausted = True
            return None

    async def _read(self) -> str:
        return await anext(self._texts)

    async def close(self) -> None:
        """Stop waiting for the next text."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait([self._next])
