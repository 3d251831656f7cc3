"""Messages as JSON for scripts, and their fields as text for people.

In JSON, field names are those of the proto, Timestamps are in RFC 3339, enums have no type name,
and numbers are numbers. A message that is not set is null. Of a oneof, only the member that is set
is included.
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
    """Return a message as plain values."""
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
    """Return the error of one item as plain values."""
    return {"code": error.code.name, "reason": error.reason, "message": error.message}


def enum_name(message: Message, field_name: str) -> str:
    """Return an enum field's value without the name of its type: `CHAMPION`."""
    field = message.DESCRIPTOR.fields_by_name[field_name]
    return _enum_name(field, getattr(message, field_name))


def for_people(row: Any, field_name: str) -> Any:
    """Return a field of a message or a dataclass for people: times in UTC, enums by name."""
    value = getattr(row, field_name)
    if isinstance(value, Timestamp):
        return time_text(value)
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(row, Message) and row.DESCRIPTOR.fields_by_name[field_name].enum_type:
        return enum_name(row, field_name)
    return value


def time_text(time: Timestamp) -> str:
    """Return a time for people, in UTC; empty if it is not set."""
    return "" if time == Timestamp() else moment_text(time.ToDatetime(tzinfo=UTC))


def moment_text(moment: datetime) -> str:
    """Return a time for people, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


# A field's descriptor is typed as Any, as the C implementation's class is not in the stubs.
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
    if known is None:  # of a newer server
        return str(number)
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field.enum_type.name).upper() + "_"
    return str(known.name).removeprefix(prefix)


def _whole_numbers(value: Any) -> Any:
    """Return a Struct's values with counts as integers; a Struct holds doubles only."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
