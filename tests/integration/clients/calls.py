"""Both Python clients with the same interface, so each test runs with both."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any

from tidemill_client import AsyncTidemillClient, Prediction, TidemillClient, TidemillError

Result = Prediction | TidemillError


class Threads:
    """`TidemillClient`."""

    def __repr__(self) -> str:
        return "threads"

    def call(self, method: str, address: str, *arguments: Any, **options: Any) -> Any:
        """Call one method of a client that lives as long as the call; `client` has its options."""
        with TidemillClient(address, **options.pop("client", {})) as client:
            return getattr(client, method)(*arguments, **options)

    def many(
        self,
        address: str,
        texts: Iterable[str],
        *,
        on_result: Callable[[Result], object] | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> list[Result]:
        """Return the first `limit` results of `predict_many`."""
        results: list[Result] = []
        with TidemillClient(address, **options.pop("client", {})) as client:
            stream: Any = client.predict_many(texts, **{"task": "t", **options})
            for result in stream:
                results.append(result)
                if on_result is not None:
                    on_result(result)
                if len(results) == limit:
                    break
            stream.close()
        left = [one.name for one in threading.enumerate() if one.name == "tidemill-answers"]
        assert not left
        return results


class Asyncio:
    """`AsyncTidemillClient`."""

    def __repr__(self) -> str:
        return "asyncio"

    def call(self, method: str, address: str, *arguments: Any, **options: Any) -> Any:
        """See `Threads.call`."""

        async def call() -> Any:
            async with AsyncTidemillClient(address, **options.pop("client", {})) as client:
                return await getattr(client, method)(*arguments, **options)

        return _run(call)

    def many(
        self,
        address: str,
        texts: Iterable[str],
        *,
        on_result: Callable[[Result], object] | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> list[Result]:
        """See `Threads.many`."""

        async def many() -> list[Result]:
            results: list[Result] = []
            async with AsyncTidemillClient(address, **options.pop("client", {})) as client:
                stream: Any = client.predict_many(texts, **{"task": "t", **options})
                async with aclosing(stream):
                    async for result in stream:
                        results.append(result)
                        if on_result is not None:
                            await asyncio.to_thread(on_result, result)
                        if len(results) == limit:
                            break
            return results

        found: list[Result] = _run(many)
        return found


def _run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine to its end on its own loop, as a program does; no task may be left over."""

    async def run() -> Any:
        try:
            return await work()
        finally:
            await asyncio.sleep(0.02)  # canceled tasks end within the loop's next rounds
            own = asyncio.current_task()
            left = {task for task in asyncio.all_tasks() if not task.done()} - {own}
            assert not left, left

    return asyncio.run(run())


BOTH: tuple[Threads | Asyncio, ...] = (Threads(), Asyncio())
