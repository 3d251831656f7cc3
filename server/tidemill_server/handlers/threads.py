"""How a handler's method waits for the database without holding up other callers."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def in_thread(
    method: Callable[Arguments, Result],
) -> Callable[Arguments, Coroutine[Any, Any, Result]]:
    """Make a method that blocks one to await: it runs in a thread, in its caller's context."""

    @functools.wraps(method)
    async def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return await asyncio.to_thread(method, *args, **kwargs)

    return call
