"""The OpenAPI document of the routes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from tidemill_server.gateway.answer import EVENTS_TYPE, LINES_TYPE
from tidemill_server.gateway.models import description
from tidemill_server.gateway.operation import Operation
from tidemill_server.gateway.problem import PROBLEM_TYPE, Problem

_ABOUT = (
    "Send an API key or a token as `Authorization: Bearer ...`, and the seconds that you wait for "
    "an answer as `Request-Timeout: 2.5`. Errors are problem documents (RFC 9457)."
)
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
Json = dict[str, Any]


def openapi_of(title: str, version: str, operations: Iterable[Operation], task: str) -> Json:
    """Return the OpenAPI document.

    Args:
        title: its title.
        version: Tidemill's version.
        operations: the routes.
        task: a task for the examples.
    """
    schemas: Json = {}
    _schema(Problem, schemas)
    paths: dict[str, Json] = {}
    for each in operations:
        described = _operation(each, schemas, task)
        paths.setdefault(each.route.path, {})[each.route.verb.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(operation: Operation, schemas: Json, task: str) -> Json:
    route = operation.route
    service, _, rpc = route.rpc.partition("/")
    words = _WORD.sub(" ", rpc).lower().capitalize()
    return {
        "operationId": f"{rpc}OfOneTask" if route.path == "/predict" else rpc,
        "tags": [service.removesuffix("Service")],
        "summary": words,
        "description": description(f"tidemill.v1.{service}.{rpc}") or words,
        "parameters": list(_parameters(operation, schemas, task)),
        **({} if operation.reads_query else {"requestBody": _body(operation, schemas, task)}),
        "responses": _responses(operation, schemas),
    }


def _parameters(operation: Operation, schemas: Json, task: str) -> Iterator[Json]:
    examples = {"task": task, **_filled(operation.route.example, task)}
    sources = [("path", operation.path)]
    if operation.reads_query:
        sources.append(("query", operation.request))
    for place, model in sources:
        for name, schema in _inlined(model, schemas).get("properties", {}).items():
            parameter = {"name": name, "in": place, "schema": schema}
            parameter["description"] = schema.pop("description", "")
            if place == "path":
                parameter["required"] = True
                schema.pop("default", None)
            if name in examples:
                parameter["example"] = examples[name]
            yield parameter


def _body(operation: Operation, schemas: Json, task: str) -> Json:
    kind = LINES_TYPE if operation.method.takes_many else "application/json"
    example = _filled(operation.route.example, task)
    content = {"schema": _inlined(operation.request, schemas), "example": example}
    about = "Lines of JSON, one request each." if operation.method.takes_many else ""
    return {"required": True, "description": about, "content": {kind: content}}


def _responses(operation: Operation, schemas: Json) -> Json:
    schema, method = _schema(operation.answer, schemas), operation.method
    if not method.returns_many:
        content = {"application/json": {"schema": schema}}
    else:
        kinds = (LINES_TYPE, EVENTS_TYPE) if method.takes_many else (EVENTS_TYPE,)
        content = {kind: {"schema": {"type": "string"}, "itemSchema": schema} for kind in kinds}
    answers: Json = {"200": {"description": "The answer", "content": content}}
    problem: Json = {PROBLEM_TYPE: {"schema": _PROBLEM}}
    if operation.route.healthy:
        both = {"application/json": {"schema": schema}, **problem}
        answers["503"] = {"description": f"It is not {operation.route.healthy}", "content": both}
    return answers | {"default": {"description": "Why it failed (RFC 9457)", "content": problem}}


def _schema(model: type[BaseModel], schemas: Json) -> Json:
    """Add a model to the schemas, and return the reference to it."""
    schemas[model.__name__] = _inlined(model, schemas)
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _inlined(model: type[BaseModel], schemas: Json) -> Json:
    """Return the schema of a model, and add those that it refers to."""
    schema = model.model_json_schema(
        ref_template="#/components/schemas/{model}", schema_generator=_WithoutTitles
    )
    schemas |= schema.pop("$defs", {})
    return schema


class _WithoutTitles(GenerateJsonSchema):
    """Schemas whose fields have no titles, which would only repeat their names."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 -- pydantic's
        return False


def _filled(example: Any, task: str) -> Any:
    """Return an example with the task in the place of TASK."""
    if isinstance(example, Mapping):
        return {name: _filled(value, task) for name, value in example.items()}
    if isinstance(example, list):
        return [_filled(value, task) for value in example]
    return task if example == "TASK" else example
