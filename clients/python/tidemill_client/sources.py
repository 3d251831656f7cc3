"""Where `predict_many` for asyncio has its texts from."""

import asyncio
from collections.abc import AsyncIterable, Iterable


class Texts:
    """Texts that are there when they are asked for."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = iter(texts)
        self.is_exhausted = False

    def take(self) -> tuple[str] | None:
        """Return the next text in a tuple, as it may be None itself; None if there are no more."""
        for text in self._texts:
            return (text,)
        self.is_exhausted = True
        return None

    async def close(self) -> None:
        """Nothing is under way."""


class AsyncTexts:
    """Texts that must be waited for; one is, at any time."""

    def __init__(self, texts: AsyncIterable[str], woken: asyncio.Event) -> None:
        self._texts = aiter(texts)
        self._woken = woken
        self._next: asyncio.Task[str] | None = None
        self.is_exhausted = False

    def take(self) -> tuple[str] | None:
        """As `Texts.take`; None also if there is no text yet, and `woken` is set when there is.

        Raises:
            Exception: what the iterable raised.
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
        """Wait no longer for the text under way."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait([self._next])
