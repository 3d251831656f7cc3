"""Pages that follow what happens: parts of a page, sent as server-sent events when they change."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from starlette.responses import StreamingResponse
from starlette.routing import Route

from tidemill_server.console.routes import get
from tidemill_server.console.visit import Visit
from tidemill_server.gateway.problem import Failed
from tidemill_server.security.acting import current_caller

LONGEST_SECONDS = 600.0
"""Time after which a stream ends; the browser then opens another one."""
_STILL_HERE = "event: here\ndata:\n\n"
"""Sent if nothing has changed: it shows each side that the other one is still there."""
_END = "event: end\ndata:\n\n"


@dataclass(frozen=True)
class Parts:
    """The parts of a page as they are now.

    Attributes:
        html: the HTML of each part, by the id of its element.
        is_last: whether no part will change again.
    """

    html: Mapping[str, str]
    is_last: bool = False


Read = Callable[[Visit], Awaitable[Parts]]


def live(path: str, read: Read, every_seconds: float = 1.0) -> Route:
    """Return the route of a stream that sends the parts of a page immediately and when they change.

    Args:
        path: the route's path.
        read: returns the parts; it is called again and again.
        every_seconds: the time between two calls.
    """

    async def answer(visit: Visit) -> StreamingResponse:
        current_caller.set(visit.caller)
        visit.console.pipeline.watches.check(path)
        first = await read(visit)  # an error here is answered as on any page
        events = _counted(visit, path, _events(visit, read, first, every_seconds))
        return StreamingResponse(events, media_type="text/event-stream")

    return get(path, answer)


async def _counted(visit: Visit, path: str, events: AsyncGenerator[str]) -> AsyncIterator[str]:
    with visit.console.pipeline.watches.counted(path):
        async with aclosing(events):
            async for event in events:
                yield event


async def _events(
    visit: Visit, read: Read, found: Parts, every_seconds: float
) -> AsyncGenerator[str]:
    shown: Mapping[str, str] = {}
    end = asyncio.get_running_loop().time() + LONGEST_SECONDS
    while True:
        changed = [(name, html) for name, html in found.html.items() if shown.get(name) != html]
        yield "".join(_event(name, html) for name, html in changed) or _STILL_HERE
        shown = found.html
        if found.is_last:
            yield _END
            return
        if asyncio.get_running_loop().time() > end:
            return
        await asyncio.sleep(every_seconds)
        try:
            found = await read(visit)
        except Failed:
            return  # the browser connects again, and learns why


def _event(name: str, html: str) -> str:
    return f"event: part\ndata: {json.dumps({'id': name, 'html': html})}\n\n"
