"""JSON bodies of requests, read strictly: what two parsers could read differently is refused."""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from google.protobuf.message import Message
from pydantic import ValidationError

from tidemill_core.errors import InvalidArgument
from tidemill_server.gateway.models import Body
from tidemill_server.rpc.decoding import MalformedMessage

_SMALL_BYTES = 64 * 1024
"""Bodies up to this size have no more values than can be read at once."""
_MOST_STRUCTURE = 256 * 1024
"""Bytes of a body that are in none of its strings; more could make gigabytes of small values."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_MOST_STRINGS = 20_000


class InvalidField(InvalidArgument):
    """A field of a body is unknown, missing or of the wrong type."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__("INVALID_FIELD", field, rule)


def parsed(content: bytes, body: type[Body]) -> dict[str, Any]:
    """Return the fields that a JSON body sets.

    Raises:
        MalformedMessage: it is not one JSON object in UTF-8.
        InvalidField: a field is unknown, missing or of the wrong type.
    """
    fields = _loaded(content)
    if not isinstance(fields, dict):
        raise MalformedMessage("is not a JSON object")
    return checked(fields, body)


def checked(fields: dict[str, Any], body: type[Body]) -> dict[str, Any]:
    """Return the fields of a request that are set, as protobuf takes them.

    Raises:
        InvalidField: a field is unknown, missing or of the wrong type.
    """
    try:
        found = body.__pydantic_validator__.validate_python(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field, kind = ".".join(map(str, problem["loc"]))[:100], problem["type"]
        if kind == "extra_forbidden":
            rule = f"is not a field; there are: {', '.join(body.model_fields) or 'none'}"
        else:
            rule = problem["msg"].replace("Input should", "must").removeprefix("Value error, ")
        raise InvalidField(field, rule) from error
    # Strict models change no value but times.
    return found.model_dump(exclude_unset=True) if body.has_times else fields


def _loaded(content: bytes) -> Any:
    if len(content) > _SMALL_BYTES and _structure_bytes(content) > _MOST_STRUCTURE:
        raise MalformedMessage("has too many values")
    try:
        value = _DECODER.decode(content.decode())
        if b"\\u" in content:  # only an escape can be a lone surrogate
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise MalformedMessage("is nested too deeply") from error
    except UnicodeError as error:
        raise MalformedMessage("is not UTF-8, or has a lone surrogate") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedMessage(f"is not JSON from {place} on") from error
    except ValueError as error:
        raise MalformedMessage("has an integer with too many digits") from error
    return value


def _structure_bytes(content: bytes) -> int:
    """Return how many bytes are in no string; those after many strings count as such."""
    return len(_STRING.sub(b"", content, _MOST_STRINGS))


def encoded(kind: type[Message], fields: Mapping[str, Any]) -> bytes:
    """Return the message with some fields, as gRPC callers send it."""
    return kind(**fields).SerializeToString()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise MalformedMessage("has a field twice")
    return fields


def _refused(word: str) -> NoReturn:
    raise MalformedMessage(f"has {word}, which JSON does not have")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refused)
