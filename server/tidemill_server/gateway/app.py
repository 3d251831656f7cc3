"""The HTTP API: the routes of the table, and the pages that describe them.

A route has no rule of its own: it names an RPC, and the pipeline serves it as over gRPC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route as PathRoute

from tidemill_core.errors import TidemillError
from tidemill_server.gateway.answer import Answer, Send
from tidemill_server.gateway.http_call import HttpCall, Receive
from tidemill_server.gateway.openapi import openapi_of
from tidemill_server.gateway.operation import Operation, operation_of
from tidemill_server.gateway.page import HEADERS, page_of
from tidemill_server.gateway.problem import headers_of, http_problem, problem_of
from tidemill_server.gateway.routes import ROUTES
from tidemill_server.gateway.site import Site
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.pipeline import Pipeline
from tidemill_server.rpc.status import failure
from tidemill_server.transports.room import Room, Share

_DEFAULT_TASK_PATH = "/predict"


@dataclass(frozen=True)
class Gateway:
    """The way from a route into the pipeline.

    Attributes:
        pipeline: serves the calls.
        site: the names of this server.
        room: the room for large bodies, which they share with gRPC's messages.
    """

    pipeline: Pipeline
    site: Site
    room: Room

    async def serve(
        self, operation: Operation, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Serve one request."""
        share, answer = Share(self.room), Answer(operation, scope, send)
        call = HttpCall(operation, scope, receive, answer.write, self.site, share)
        try:
            status = await self.pipeline.serve(operation.method, call)
        finally:
            answer.close()
            share.close()
        await answer.end(status)


@dataclass(frozen=True)
class _Path:
    """The routes of one path, by verb: an ASGI application."""

    gateway: Gateway
    operations: dict[str, Operation] = field(default_factory=dict)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        verb = "GET" if scope["method"] == "HEAD" else scope["method"]
        if verb not in self.operations:
            raise HTTPException(405, headers={"allow": ", ".join(self.operations)})
        await self.gateway.serve(self.operations[verb], scope, receive, send)


def operations_of(methods: Mapping[str, Method], default_task: str) -> list[Operation]:
    """Return the table's routes, ready to be called.

    Args:
        methods: the RPCs, by path.
        default_task: the task of `/predict` if its caller names none; empty for none.
    """
    by_label = {method.label: method for method in methods.values()}
    return [
        operation_of(
            route,
            by_label[route.rpc],
            {"task": default_task} if route.path == _DEFAULT_TASK_PATH else {},
        )
        for route in ROUTES
    ]


def gateway_app(gateway: Gateway, operations: Sequence[Operation], task: str) -> FastAPI:
    """Return the HTTP API.

    Args:
        gateway: the way into the pipeline.
        operations: the routes.
        task: a task for the examples of the OpenAPI document.
    """
    app = FastAPI(
        title="Tidemill",
        version=version("tidemill"),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # The pipeline traces and counts each call. FastAPI would do it again, for providers that
        # it finds or makes from the environment.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _add_problems(app)
    paths: dict[str, _Path] = {}
    for operation in operations:
        path = operation.route.path
        if path not in paths:
            paths[path] = _Path(gateway)
            app.router.routes.append(PathRoute(path, paths[path]))
        paths[path].operations[operation.route.verb] = operation
    _add_pages(app, gateway.site, openapi_of(app.title, app.version, operations, task))
    return app


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(TidemillError)
    async def call_failed(_: Request, error: TidemillError) -> Response:
        return _response(problem_of(failure(error, None)), {})

    @app.exception_handler(HTTPException)
    async def no_such_call(_: Request, error: HTTPException) -> Response:
        return _response(http_problem(error.status_code), dict(error.headers or {}))


def _response(problem: dict[str, Any], headers: dict[str, str]) -> Response:
    return JSONResponse(problem, problem["status"], {**headers, **headers_of(problem)})


def _add_pages(app: FastAPI, site: Site, openapi: dict[str, Any]) -> None:
    page = page_of(openapi)

    @app.get("/openapi.json")
    async def document(request: Request) -> Response:
        site.check(request.headers.get("host", ""), request.headers.get("origin"))
        return JSONResponse(openapi)

    @app.get("/docs")
    async def docs(request: Request) -> Response:
        site.check(request.headers.get("host", ""), request.headers.get("origin"))
        return HTMLResponse(page, headers=HEADERS)
