"""The routes of the HTTP API, and its pages.

A route reads no rule of its own: it names a method, and the pipeline serves it as over gRPC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from starlette.exceptions import HTTPException

from tidemill.v1.feedback_service_pb2 import SubmitFeedbackResponse
from tidemill.v1.prediction_service_pb2 import PredictResponse
from tidemill_core.errors import TidemillError
from tidemill_server.gateway.bodies import (
    FeedbackBody,
    PredictBody,
    PredictionBody,
    ProblemBody,
    StoredFeedbackBody,
    TaskPredictBody,
)
from tidemill_server.gateway.json_body import Body
from tidemill_server.gateway.json_call import JsonCall
from tidemill_server.gateway.page import HEADERS, page_of
from tidemill_server.gateway.problem import Failed, http_problem, problem_of
from tidemill_server.gateway.site import Site
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.pipeline import Pipeline
from tidemill_server.rpc.status import OK, failure
from tidemill_server.transports.room import Room, Share

_PREDICT = "/tidemill.v1.PredictionService/Predict"
_SUBMIT_FEEDBACK = "/tidemill.v1.FeedbackService/SubmitFeedback"


@dataclass(frozen=True)
class Gateway:
    """The way from a route into the pipeline.

    Attributes:
        pipeline: serves the calls.
        methods: the methods, by path.
        site: the names of this server.
        room: the room for large bodies, which they share with gRPC's messages.
    """

    pipeline: Pipeline
    methods: Mapping[str, Method]
    site: Site
    room: Room

    async def ask(self, path: str, request: Request, body: type[Body], **given: str) -> bytes:
        """Return the encoded answer of a method.

        Args:
            path: the method's.
            request: the request, with the message as JSON.
            body: the fields that the JSON may have.
            given: fields of the message that the JSON need not have.

        Raises:
            Failed: the call failed.
        """
        method, share = self.methods[path], Share(self.room)
        call = JsonCall(request, method, body, given, self.site, share)
        try:
            status = await self.pipeline.serve(method, call)
        finally:
            share.close()
        if status.code != OK.code:
            raise Failed(status)
        return call.answer

    def check_site(self, request: Request) -> None:
        """Check that a page is not asked for by another site's page.

        Raises:
            Failed: it is.
        """
        try:
            self.site.check(request.headers.get("host", ""), request.headers.get("origin"))
        except TidemillError as error:
            raise Failed(failure(error, None)) from error


def gateway_app(gateway: Gateway, default_task: str) -> FastAPI:
    """Return the HTTP API.

    Args:
        gateway: the way into the pipeline.
        default_task: the task of `/predict` if its caller names none; empty for none.
    """
    app = FastAPI(
        title="Tidemill",
        version=version("tidemill"),
        description="Send an API key or a token as `Authorization: Bearer ...`, and the seconds "
        "that you wait for an answer as `Request-Timeout: 2.5`.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        # The pipeline traces and counts each call. FastAPI would do it again, for providers that
        # it finds or makes from the environment.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        generate_unique_id_function=lambda route: route.name,
    )
    _add_problems(app)
    _add_calls(app, gateway, default_task)
    _add_pages(app, gateway)
    return app


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(Failed)
    async def call_failed(_: Request, error: Failed) -> Response:
        return problem_of(error.status)

    @app.exception_handler(HTTPException)
    async def no_such_call(_: Request, error: HTTPException) -> Response:
        return http_problem(error.status_code, dict(error.headers or {}))


def _add_calls(app: FastAPI, gateway: Gateway, default_task: str) -> None:
    @app.post("/predict", **_documented(TaskPredictBody, PredictionBody))
    async def predict(request: Request) -> Response:
        """Predict the label of a text."""
        answer = await gateway.ask(_PREDICT, request, TaskPredictBody, task=default_task)
        return _json(PredictResponse.FromString(answer).prediction)

    @app.post("/v1/tasks/{task}:predict", **_documented(PredictBody, PredictionBody))
    async def predict_of_task(task: str, request: Request) -> Response:
        """Predict the label of a text of a task."""
        answer = await gateway.ask(_PREDICT, request, PredictBody, task=task)
        return _json(PredictResponse.FromString(answer).prediction)

    @app.post("/v1/feedback", **_documented(FeedbackBody, StoredFeedbackBody))
    async def submit_feedback(request: Request) -> Response:
        """Store a verdict on a prediction. It is durable once the answer is there."""
        answer = await gateway.ask(_SUBMIT_FEEDBACK, request, FeedbackBody)
        return _json(SubmitFeedbackResponse.FromString(answer).feedback)


def _add_pages(app: FastAPI, gateway: Gateway) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        gateway.check_site(request)
        return JSONResponse(app.openapi())

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        gateway.check_site(request)
        return HTMLResponse(page_of(app.openapi()), headers=HEADERS)


def _documented(body: type[Body], answer: type[Body]) -> dict[str, Any]:
    """Return the arguments of a route that describe it in the OpenAPI document.

    FastAPI itself would read the body before the caller is known.
    """
    request = {"required": True, "content": _content("application/json", body)}
    problem = _content("application/problem+json", ProblemBody)
    return {
        "response_model": answer,
        "responses": {"default": {"description": "Why it failed (RFC 9457)", "content": problem}},
        "openapi_extra": {"requestBody": request},
    }


def _content(media_type: str, body: type[Body]) -> dict[str, Any]:
    return {media_type: {"schema": body.model_json_schema()}}


def _json(message: Message) -> JSONResponse:
    return JSONResponse(
        MessageToDict(
            message,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
    )
