"""Answers as JSON: the fields that a message has, under the contract's names.

A field that is always set is always there. Numbers that are not finite are null, times are RFC
3339 in UTC, and an error of one item is a problem document.
"""

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Kind
from google.protobuf.struct_pb2 import Struct, Value

from tidemill_server.gateway.models import FieldType, MessageType
from tidemill_server.gateway.problem import problem_fields

Converter = Callable[[Any], Any]


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def json_bytes(fields: object) -> bytes:
    """Return JSON in UTF-8."""
    return _ENCODER.encode(fields).encode()


@cache
def converter(message: MessageType) -> Converter:
    """Return the function that makes a dictionary of a message."""
    if known := _WELL_KNOWN.get(message.full_name):
        return known
    fields = [(each.name, each.has_presence, _field(each)) for each in message.fields]

    def convert(value: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, has_presence, convert_field in fields:
            if not has_presence or value.HasField(name):
                given = getattr(value, name)
                found[name] = convert_field(given) if convert_field else given
        return found

    return convert


def _field(field: FieldType) -> Converter | None:
    """Return the function for a field's value; None if the value is JSON as it is."""
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        convert_value = _one(message.fields_by_name["value"])
        if convert_value is None:
            return dict
        return lambda entries: {key: convert_value(entries[key]) for key in entries}
    convert_one = _one(field)
    if not field.is_repeated:
        return convert_one
    return list if convert_one is None else lambda values: list(map(convert_one, values))


def _one(field: FieldType) -> Converter | None:
    if field.type == Kind.TYPE_MESSAGE:
        return converter(field.message_type)
    if field.type in (Kind.TYPE_DOUBLE, Kind.TYPE_FLOAT):
        return _finite
    if field.type == Kind.TYPE_ENUM:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names[number]
    return None


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _struct(value: Struct) -> dict[str, Any]:
    return {name: _value(each) for name, each in value.fields.items()}


def _value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _struct(value.struct_value)
    if kind == "list_value":
        return [_value(each) for each in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else _finite(number)
    return None if kind in (None, "null_value") else getattr(value, kind)


_WELL_KNOWN: dict[str, Converter] = {
    "google.protobuf.Timestamp": lambda time: time.ToJsonString(),
    "google.protobuf.Struct": _struct,
    "google.rpc.Status": problem_fields,
}
