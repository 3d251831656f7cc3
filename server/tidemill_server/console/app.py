"""The console as an application, which the gateway mounts."""

import hashlib
from pathlib import Path

from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidemill_server.console import formats, plots
from tidemill_server.console.navigation import ROOT, task_path
from tidemill_server.console.pages import (
    alerts,
    data,
    evidently,
    jobs,
    keys,
    label,
    loop,
    quality,
    sign_in,
    try_it,
    versions,
)
from tidemill_server.console.routes import HEADERS, no_page
from tidemill_server.console.visit import Console

_FOLDER = Path(__file__).parent
_STATIC = _FOLDER / "static"
_PAGES = (sign_in, loop, try_it, versions, quality, evidently, label, data, jobs, alerts, keys)


def templates() -> Environment:
    """Return the pages' templates; every value that they show is escaped.

    A missing value shows as nothing: reports of other releases have other figures.
    """
    found = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {**formats.FILTERS, "zip": zip}
    found.globals |= {"plots": plots, "root": ROOT, "static": _static_path, "task_path": task_path}
    return found


def console_app(console: Console) -> ASGIApp:
    """Return the pages and their files."""
    routes = [route for page in _PAGES for route in page.ROUTES]
    missing = {404: no_page, 405: no_page}
    app = Starlette(routes=[Route("/static/{name}", _file), *routes], exception_handlers=missing)
    app.state.console = console
    return _WithHeaders(app)


class _WithHeaders:
    """Adds the headers that protect pages to every response, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                missing = [each for each in self._headers if each[0] not in given]
                message = {**message, "headers": [*message["headers"], *missing]}
            await send(message)

        await self._app(scope, receive, with_headers)


def add_console(app: Starlette, console: Console) -> None:
    """Add the pages to an application, whose first page they become."""
    app.mount(ROOT, console_app(console))
    for path in ("/", ROOT):
        app.add_route(path, _first_page, include_in_schema=False)


async def _first_page(_: Request) -> Response:
    return RedirectResponse(f"{ROOT}/")


def _static_path(name: str) -> str:
    """Return the address of a file, which changes with its content."""
    digest = hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:12]
    return f"{ROOT}/static/{name}?{digest}"


async def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _FILES:
        raise HTTPException(404)
    return FileResponse(_STATIC / name, headers={"cache-control": "max-age=31536000, immutable"})


_FILES = frozenset(each.name for each in _STATIC.iterdir())
