"""Routes that are ready to be called."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import FieldDescriptor as Kind

from tidemill_server.gateway.json_answer import Converter, converter
from tidemill_server.gateway.json_body import InvalidField, checked
from tidemill_server.gateway.models import (
    Body,
    FieldType,
    MessageType,
    answer_model,
    request_model,
)
from tidemill_server.gateway.routes import Route
from tidemill_server.rpc.decoding import MalformedMessage
from tidemill_server.rpc.methods import Method

_MOST_PARAMETERS = 100
_INTEGER = re.compile(r"-?\d{1,19}")
_INTEGERS = (Kind.TYPE_INT32, Kind.TYPE_INT64, Kind.TYPE_UINT32, Kind.TYPE_UINT64)
_BOOLS: Mapping[str, Any] = {"true": True, "false": False}


@dataclass(frozen=True)
class Operation:
    """A route, with all that a call of it needs.

    Attributes:
        route: the route.
        method: the RPC.
        request: the fields of the request that the path does not have.
        path: the fields that it has.
        has_numbers: whether one of those is a number.
        answer: the type of the answer.
        convert: makes the answer's fields of the response's message.
        defaults: fields that the caller may leave out.
    """

    route: Route
    method: Method
    request: type[Body]
    path: type[Body]
    has_numbers: bool
    answer: type[Body]
    convert: Converter
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads_query(self) -> bool:
        """Whether fields come from the query rather than from a body."""
        return self.route.verb == "GET"

    def of_path(self, parameters: Mapping[str, str]) -> Mapping[str, Any]:
        """Return the fields that the path has.

        Raises:
            InvalidField: one is of the wrong type.
        """
        kinds = self.method.request.DESCRIPTOR.fields_by_name
        return checked(
            {name: _of_text(kinds[name], parameters[name]) for name in parameters}, self.path
        )

    def of_query(self, query: bytes) -> Mapping[str, Any]:
        """Return the fields that the query has.

        Raises:
            MalformedMessage: it cannot be read.
            InvalidField: a field is unknown, there twice, or of the wrong type.
        """
        try:
            pairs = parse_qsl(
                query.decode("ascii"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MOST_PARAMETERS,
            )
        except ValueError as error:
            rule = f"has a query that is not UTF-8, or has more than {_MOST_PARAMETERS} parameters"
            raise MalformedMessage(rule) from error
        found: dict[str, Any] = {}
        types: Mapping[str, FieldType] = self.method.request.DESCRIPTOR.fields_by_name
        for name, text in pairs:
            field_type = types.get(name)
            if field_type is not None and field_type.is_repeated:
                found.setdefault(name, []).append(_of_text(field_type, text))
            elif name in found:
                raise InvalidField(name[:100], "is there twice")
            else:
                found[name] = text if field_type is None else _of_text(field_type, text)
        return checked(found, self.request)


def operation_of(route: Route, method: Method, defaults: Mapping[str, Any]) -> Operation:
    """Return a route that is ready to be called."""
    request: MessageType = method.request.DESCRIPTOR
    response: MessageType = method.response.DESCRIPTOR
    in_path = route.path_fields
    others = [each.name for each in request.fields if each.name not in in_path]
    answer = response.fields_by_name[route.answer].message_type if route.answer else response
    return Operation(
        route=route,
        method=method,
        request=request_model(request, in_path),
        path=request_model(request, others),
        has_numbers=any(request.fields_by_name[name].type in _INTEGERS for name in in_path),
        answer=answer_model(answer),
        convert=_unwrapped(answer, route.answer),
        defaults=defaults,
    )


def _unwrapped(answer: MessageType, name: str) -> Callable[[Any], Any]:
    convert = converter(answer)
    return (lambda response: convert(getattr(response, name))) if name else convert


def _of_text(field: FieldType, text: str) -> Any:
    """Return the value that a text in a path or a query stands for, or else the text."""
    if field.type in _INTEGERS and _INTEGER.fullmatch(text):
        return int(text)
    return _BOOLS.get(text, text) if field.type == Kind.TYPE_BOOL else text
