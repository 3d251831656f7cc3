"""The HTTP API: the routes of the table, and the pages that describe them.

A route has no rule of its own: it names an RPC, and the pipeline serves it as over gRPC.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from tidemill_core.errors import TidemillError
from tidemill_server.gateway.answer import Answer, Send, send_problem
from tidemill_server.gateway.http_call import HttpCall, Receive
from tidemill_server.gateway.openapi import openapi_of
from tidemill_server.gateway.operation import Operation, operation_of
from tidemill_server.gateway.own_names import OwnNames
from tidemill_server.gateway.page import HEADERS, page_of
from tidemill_server.gateway.problem import headers_of, http_problem, problem_of
from tidemill_server.gateway.routes import ROUTES
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.pipeline import Pipeline
from tidemill_server.rpc.status import failure
from tidemill_server.transports.room import Room, Share

_DEFAULT_TASK_PATH = "/predict"
_FIELD = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class Gateway:
    """The way from a route into the pipeline.

    Attributes:
        pipeline: serves the calls.
        own_names: the names of this server.
        room: the room for large bodies, which they share with gRPC's messages.
    """

    pipeline: Pipeline
    own_names: OwnNames
    room: Room

    async def serve(
        self, operation: Operation, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        """Serve one request."""
        share, answer = Share(self.room), Answer(operation, scope, send)
        call = HttpCall(operation, scope, receive, answer.write, self.own_names, share)
        try:
            status = await self.pipeline.serve(operation.method, call)
        finally:
            answer.close()
            share.close()
        await answer.end(status)


class HttpApi(FastAPI):
    """FastAPI, which serves the pages, and the routes of the table before it.

    The routes need none of FastAPI's middleware, which takes a tenth of the CPU of a call.
    """

    gateway: Gateway
    paths: list[tuple[re.Pattern[str], dict[str, Operation]]]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request: the ASGI application."""
        for pattern, operations in self.paths if scope["type"] == "http" else ():
            if match := pattern.fullmatch(scope["path"]):
                operation = operations.get(scope["method"])
                if operation is None:
                    allowed = ", ".join(operations)
                    problem = http_problem(405, allowed)
                    return await send_problem(send, problem, more_headers={"allow": allowed})
                scope["path_params"] = match.groupdict()
                return await self.gateway.serve(operation, scope, receive, send)
        return await super().__call__(scope, receive, send)


def _paths(operations: Sequence[Operation]) -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    """Return the operations of each path, by verb."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        verbs = paths.setdefault(operation.route.path, {})
        verbs[operation.route.verb] = operation
        if operation.reads_query and not operation.method.returns_many:
            verbs["HEAD"] = operation
    return [
        (re.compile(_FIELD.sub(r"(?P<\1>[^/]+)", path)), found) for path, found in paths.items()
    ]


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
    app = HttpApi(
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
    app.gateway, app.paths = gateway, _paths(operations)
    _add_pages(app, gateway.own_names, openapi_of(app.title, app.version, operations, task))
    return app


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(TidemillError)
    async def call_failed(_: Request, error: TidemillError) -> Response:
        return _response(problem_of(failure(error, None)), {})

    @app.exception_handler(HTTPException)
    async def no_such_call(_: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        return _response(http_problem(error.status_code, headers.get("Allow", "")), headers)


def _response(problem: dict[str, Any], headers: dict[str, str]) -> Response:
    return JSONResponse(problem, problem["status"], {**headers, **headers_of(problem)})


def _add_pages(app: FastAPI, own_names: OwnNames, openapi: dict[str, Any]) -> None:
    page = page_of(openapi)

    @app.get("/openapi.json")
    async def document(request: Request) -> Response:
        own_names.check(request.headers.get("host", ""), request.headers.get("origin"))
        return JSONResponse(openapi)

    @app.get("/docs")
    async def docs(request: Request) -> Response:
        own_names.check(request.headers.get("host", ""), request.headers.get("origin"))
        return HTMLResponse(page, headers=HEADERS)
