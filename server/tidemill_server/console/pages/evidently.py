"""Evidently's report of a task, which its own scripts draw."""

import asyncio
from pathlib import Path

from starlette.responses import HTMLResponse, Response

from tidemill_core.errors import NotFound
from tidemill_server.console import questions
from tidemill_server.console.formats import plain
from tidemill_server.console.routes import get
from tidemill_server.console.visit import Visit

_RUNS = 5
SANDBOX = {
    "content-security-policy": (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; frame-ancestors 'self'"
    ),
    "x-frame-options": "SAMEORIGIN",
}
"""The headers of a page that others wrote: it has no origin, so no cookies, and loads nothing."""


async def show(visit: Visit) -> Response:
    """Show the newest page alone, in a sandbox."""
    folder = visit.console.settings.state_dir / "reports" / visit.task
    page = await asyncio.to_thread(_read, folder, await newest_page(visit))
    if page is None:
        raise NotFound("page of Evidently for task", visit.task)
    return HTMLResponse(page, headers=SANDBOX)


async def newest_page(visit: Visit) -> str:
    """Return the name of the newest page's file; empty without one."""
    runs = await questions.runs(visit, visit.task, "write_evidently", _RUNS)
    written = [str(plain(run.result).get("html", "")) for run in runs]
    return next((Path(each).name for each in written if each), "")


def _read(folder: Path, name: str) -> bytes | None:
    try:
        return (folder / name).read_bytes() if name else None
    except OSError:
        return None


ROUTES = (get("/t/{task}/quality/evidently", show),)
