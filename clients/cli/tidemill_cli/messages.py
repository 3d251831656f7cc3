"""Messages as JSON, in the form that scripts read.

Field names as in the proto, Timestamps in RFC 3339, enums without their type's name, numbers as
numbers. What is not set is null; of a oneof only the member that is set is there.
"""

import re
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from tidemill_client import TidemillError


def to_json(message: Message) -> Any:
    """A message as plain values."""
    if isinstance(message, Timestamp):
        return message.ToJsonString()
    if isinstance(message, Struct):
        return _whole_numbers(json_format.MessageToDict(message))
    return {
        field.name: _value(message, field)
        for field in message.DESCRIPTOR.fields
        if field.containing_oneof is None or message.HasField(field.name)
    }


def error_to_json(error: TidemillError) -> dict[str, Any]:
    """An error of one item as plain values."""
    return {"code": error.code.name, "reason": error.reason, "message": error.message}


def enum_name(message: Message, field_name: str) -> str:
    """An enum field's value without its type's name: `CHAMPION`."""
    field = message.DESCRIPTOR.fields_by_name[field_name]
    return _enum_name(field, getattr(message, field_name))


def for_people(message: Message, field_name: str) -> Any:
    """Return a field's value for people: moments in UTC, enums without their type's name."""
    value = getattr(message, field_name)
    if isinstance(value, Timestamp):
        return time_text(value)
    is_enum = message.DESCRIPTOR.fields_by_name[field_name].enum_type is not None
    return enum_name(message, field_name) if is_enum else value


def time_text(time: Timestamp) -> str:
    """A moment for people, in UTC; empty where it is not set."""
    return "" if time == Timestamp() else moment_text(time.ToDatetime(tzinfo=UTC))


def moment_text(moment: datetime) -> str:
    """Return a moment for people, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


# A field's descriptor is typed as Any: the C implementation's class is none of the stubs'.
def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return dict(sorted(value.items()))
    if field.is_repeated:
        return [_single(field, item) for item in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return to_json(value)
    return value if field.enum_type is None else _enum_name(field, value)


def _enum_name(field: Any, number: int) -> str:
    known = field.enum_type.values_by_number.get(number)
    if known is None:  # a newer server's
        return str(number)
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field.enum_type.name).upper() + "_"
    return str(known.name).removeprefix(prefix)


def _whole_numbers(value: Any) -> Any:
    """A Struct knows doubles only; counts in it are shown as the integers that they are."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
