"""The table of routes, and the OpenAPI document made of it."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from tidemill_server.gateway.app import operations_of
from tidemill_server.gateway.openapi import openapi_of
from tidemill_server.gateway.operation import Operation
from tidemill_server.gateway.page import page_of
from tidemill_server.gateway.routes import GRPC_ONLY, ROUTES
from tidemill_server.rpc.methods import Method, methods_of
from tidemill_server.services.table import REFLECTION, SERVICES


@pytest.fixture(scope="module")
def operations() -> list[Operation]:
    """Return all routes, ready to be called."""
    methods: dict[str, Method] = {}
    behaviors: Mapping[str, Any] = defaultdict(lambda: None)
    for service in (*SERVICES, REFLECTION):
        methods |= methods_of(service, behaviors)
    return operations_of(methods, "")


def test_every_rpc_has_a_route_or_a_reason() -> None:
    """An RPC without a route is listed as gRPC only, with the reason."""
    routed = {route.rpc for route in ROUTES}
    for service in (*SERVICES, REFLECTION):
        for method in service.methods:
            label = f"{service.name}/{method.name}"
            listed = {service.name, label} & GRPC_ONLY.keys()
            assert (label in routed) is not bool(listed), (
                f"add {label} to ROUTES or to GRPC_ONLY in gateway/routes.py"
            )


def test_a_route_shows_the_whole_answer(operations: list[Operation]) -> None:
    """A route that answers with one field of the response hides no other field."""
    for operation in operations:
        if operation.route.answer:
            fields = [each.name for each in operation.method.response.DESCRIPTOR.fields]
            assert fields == [operation.route.answer]


def test_the_openapi_document(operations: list[Operation]) -> None:
    """Each reference leads somewhere, each field is described, and ids of operations differ."""
    document = openapi_of("Tidemill", "1", operations, "support")
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
    for reference in set(_references(document)):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            assert described.get("description") or name.startswith("HealthCheck"), (name, field)
    ids = [
        operation["operationId"]
        for verbs in document["paths"].values()
        for operation in verbs.values()
    ]
    assert len(ids) == len(set(ids)) == len(ROUTES)


def test_the_page_leads_to_every_type(operations: list[Operation]) -> None:
    """Each link on the page has a target there, and each route its command."""
    page = page_of(openapi_of("Tidemill", "1", operations, "support"))
    targets = set(re.findall(r'id="([^"]*)"', page))
    links = re.findall(r'href="#([^"]*)"', page)
    assert set(links) <= targets
    assert page.count("curl -s") == len(ROUTES)


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        found = [value["$ref"]] if "$ref" in value else []
        return found + [each for inner in value.values() for each in _references(inner)]
    return (
        [each for inner in value for each in _references(inner)] if isinstance(value, list) else []
    )
