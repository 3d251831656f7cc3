"""The methods of the services, from their generated descriptors."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tidemill_server.telemetry.labels import method_label

MAX_MESSAGE_BYTES = 20 * 1024 * 1024
"""Enough for 1,024 texts of 4,096 characters at 4 bytes each, and their answers."""
USUAL_MESSAGE_BYTES = 2 * 1024 * 1024
"""Enough for a text of the longest `max_text_length`, before its repair, at 4 bytes a character."""

Behavior = Callable[[Any, Any], Any]
"""A method of a servicer. It takes the request, or an async iterator of requests, and the call. It
returns an awaitable response or an async iterator of responses; a response may be encoded."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method that callers may call.

    Attributes:
        path: such as `/tidemill.v1.PredictionService/Predict`.
        label: such as `PredictionService/Predict`.
        request: the type of its requests.
        response: the type of its responses.
        takes_many: whether the caller streams requests.
        returns_many: whether it streams responses.
        max_bytes: the largest request, in bytes.
        behavior: the servicer's method.
    """

    path: str
    label: str
    request: type[Message]
    response: type[Message]
    takes_many: bool
    returns_many: bool
    max_bytes: int
    behavior: Behavior


def methods_of(
    service: ServiceDescriptor, behaviors: Mapping[str, Behavior], large: Collection[str] = ()
) -> dict[str, Method]:
    """Return the methods of a service, by path.

    Args:
        service: its descriptor.
        behaviors: the servicer's methods, by name; each method of the service needs one.
        large: names of the methods whose requests may have MAX_MESSAGE_BYTES.
    """
    return {
        (path := f"/{service.full_name}/{method.name}"): Method(
            path=path,
            label=method_label(path),
            request=GetMessageClass(method.input_type),
            response=GetMessageClass(method.output_type),
            takes_many=method.client_streaming,
            returns_many=method.server_streaming,
            max_bytes=MAX_MESSAGE_BYTES if method.name in large else USUAL_MESSAGE_BYTES,
            behavior=behaviors[method.name],
        )
        for method in service.methods
    }


def behaviors_of(service: ServiceDescriptor, servicer: object) -> dict[str, Behavior]:
    """Return a servicer's methods, one for each method of its service."""
    return {method.name: getattr(servicer, method.name) for method in service.methods}
