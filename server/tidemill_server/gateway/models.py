"""The fields of requests and answers, as pydantic models made from the contract's descriptors."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, cast

from google.protobuf.descriptor import FieldDescriptor as Kind
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    create_model,
    model_validator,
)

from tidemill_server.gateway.problem import Problem

MessageType: TypeAlias = Any
FieldType: TypeAlias = Any
"""protobuf's descriptors, whose types differ between its implementations."""

_SAME = re.compile(r"As in (\w+)\.")
Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
UInt32 = Annotated[int, Field(ge=0, lt=2**32)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
UInt64 = Annotated[int, Field(ge=0, lt=2**64)]
_REALS = (Kind.TYPE_DOUBLE, Kind.TYPE_FLOAT)


def _time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be a time as a string")
    try:
        parsed = Timestamp()
        parsed.FromJsonString(value)
        return parsed.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a time that exists, such as 2026-02-01T09:30:00Z") from error


_Time = Annotated[
    datetime, PlainValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]
_SCALARS: Mapping[int, Any] = {
    Kind.TYPE_STRING: str,
    Kind.TYPE_BOOL: bool,
    Kind.TYPE_INT32: Int32,
    Kind.TYPE_UINT32: UInt32,
    Kind.TYPE_INT64: Int64,
    Kind.TYPE_UINT64: UInt64,
}
_WELL_KNOWN: Mapping[str, Any] = {
    "google.protobuf.Timestamp": _Time,
    "google.protobuf.Struct": dict[str, Any],
    "google.rpc.Status": Problem,
}


class Body(BaseModel):
    """The fields of a message.

    Attributes:
        has_times: whether a field is a time, which is a string in JSON.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )
    has_times: ClassVar[bool] = False


class _Exclusive(Body):
    """The fields of a message, some of which exclude each other.

    Attributes:
        one_of: groups of fields of which at most one may be set.
    """

    one_of: ClassVar[tuple[frozenset[str], ...]] = ()

    @model_validator(mode="after")
    def _has_one_of_each_group(self) -> "_Exclusive":
        for group in self.one_of:
            if len(given := sorted(group & self.model_fields_set)) > 1:
                raise ValueError(f"give only one of {', '.join(given)}")
        return self


def request_model(message: MessageType, elsewhere: Collection[str] = ()) -> type[Body]:
    """Return the fields that a request may set.

    Args:
        message: the request's type.
        elsewhere: fields that do not come from the body or the query.
    """
    return _model(message, f"{message.name}Input", elsewhere, _optional)


@cache
def answer_model(message: MessageType) -> type[Body]:
    """Return the fields of an answer."""
    return _model(message, message.name, (), _present)


def _model(
    message: MessageType,
    name: str,
    elsewhere: Collection[str],
    field_of: Callable[[FieldType], tuple[Any, Any]],
) -> type[Body]:
    fields = [each for each in message.fields if each.name not in elsewhere]
    groups = [group for group in message.oneofs if len(group.fields) > 1]
    make: Any = create_model  # whose types know no fields that are made here
    model = make(
        name,
        __base__=_Exclusive if groups else Body,
        __doc__=description(message.full_name),
        **{each.name: field_of(each) for each in fields},
    )
    model.one_of = tuple(frozenset(each.name for each in group.fields) for group in groups)
    model.has_times = any(map(_has_times, fields))
    return cast("type[Body]", model)


def _has_times(field: FieldType) -> bool:
    """Return whether a field is a time, or has one."""
    message = field.message_type
    if message is None or message.full_name == "google.protobuf.Timestamp":
        return message is not None
    return message.full_name not in _WELL_KNOWN and any(map(_has_times, message.fields))


def _optional(field: FieldType) -> tuple[Any, Any]:
    """Return the type of a request's field, and its default and description."""
    kind = _kind(field, lambda message: request_model(message), float)
    if field.has_presence:
        return kind, _absent(field)
    default: Any = field.default_value
    if field.is_repeated:
        default = {} if _is_map(field) else []
    elif field.type == Kind.TYPE_ENUM:
        default = field.enum_type.values_by_number[0].name
    return kind, Field(default, description=description(field.full_name))


def _present(field: FieldType) -> tuple[Any, Any]:
    """Return the type of an answer's field, and its description."""
    kind = _kind(field, answer_model, float | None)
    if field.has_presence:
        return kind, _absent(field)
    return kind, Field(description=description(field.full_name))


def _absent(field: FieldType) -> Any:
    """Return the default of a field that is left out rather than null."""
    return Field(
        None,
        description=description(field.full_name),
        json_schema_extra=_without_default,
    )


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _kind(field: FieldType, nested: Callable[[MessageType], Any], number: Any) -> Any:
    if _is_map(field):
        value = field.message_type.fields_by_name["value"]
        return dict[str, _kind(value, nested, number)]  # type: ignore[misc]  # a type made at run time
    kind: Any
    if field.type == Kind.TYPE_MESSAGE:
        message = field.message_type
        kind = _WELL_KNOWN.get(message.full_name) or nested(message)
    elif field.type == Kind.TYPE_ENUM:
        kind = Literal[tuple(value.name for value in field.enum_type.values)]
    elif field.type in _REALS:
        kind = number
    else:
        kind = _SCALARS[field.type]
    return list[kind] if field.is_repeated else kind


def _is_map(field: FieldType) -> bool:
    message = field.message_type
    return message is not None and bool(message.GetOptions().map_entry)


def description(name: str) -> str:
    """Return the contract's comment on a message, a field or an RPC; empty if it has none."""
    comment = _comments().get(name, "")
    if same := _SAME.fullmatch(comment):
        package, _, field = name.rsplit(".", 2)
        return description(f"{package}.{same[1]}.{field}")
    return comment


@cache
def _comments() -> dict[str, str]:
    comments: dict[str, str] = json.loads(
        (files("tidemill.v1") / "descriptions.json").read_text(encoding="utf-8")
    )
    return comments
