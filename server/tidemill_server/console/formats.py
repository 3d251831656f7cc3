"""How pages write times, numbers and names."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from markupsafe import Markup

from tidemill_core.clock import system_clock
from tidemill_core.counted import counted
from tidemill_core.shown import shown_lines

MAX_PRETTY = 20_000
"""Characters of a value that a page shows."""
NOTHING = "\N{EN DASH}"
_LAST_EXACT = 2.0**53
"""Up to it, a float has each whole number exactly."""
_NUMBERS = re.compile(r"\[\n\s*([-+.\deE]+(?:,\n\s*[-+.\deE]+)*)\n\s*\]")
_STEPS = ((60, "s"), (3600, "min"), (86400, "h"), (86400 * 60, "d"))


def ago(time: Timestamp) -> Markup:
    """Return how long ago a time was, with the time itself for those who point at it."""
    if not time.seconds:
        return Markup("<span class=faint>never</span>")
    moment = time.ToDatetime(tzinfo=UTC)
    text = _distance((system_clock() - moment).total_seconds())
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        moment.isoformat(timespec="seconds"), f"{moment:%Y-%m-%d %H:%M:%S}", text
    )


def _distance(seconds: float) -> str:
    if abs(seconds) < 5:
        return "just now"
    for limit, unit in _STEPS:
        if abs(seconds) < limit:
            size = {"s": 1, "min": 60, "h": 3600, "d": 86400}[unit]
            number = f"{int(abs(seconds) // size)} {unit}"
            break
    else:
        number = f"{int(abs(seconds) // (86400 * 30))} months"
    return f"{number} ago" if seconds > 0 else f"in {number}"


def word(message: Message, field: str) -> str:
    """Return the last part of an enum's value, in lower case: `rolled back`."""
    values = cast("EnumDescriptor", message.DESCRIPTOR.fields_by_name[field].enum_type)
    value = values.values_by_number[getattr(message, field)].name
    prefix = values.values_by_number[0].name.removesuffix("UNSPECIFIED")
    name = str(value.removeprefix(prefix).replace("_", " ").lower())
    return "canceled" if name == "cancelled" else name  # a run's state has gRPC's spelling


def percent(value: object, digits: int = 1) -> str:
    """Return a share as a percentage."""
    return f"{100 * value:.{digits}f} %" if isinstance(value, int | float) else NOTHING


def number(value: object) -> str:
    """Return a number with at most three decimal places, and thousands apart."""
    if not isinstance(value, int | float):
        return NOTHING
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def plain(message: Message) -> dict[str, Any]:
    """Return a message's fields, such as a report's details; whole numbers have no `.0`."""
    found: dict[str, Any] = _whole(MessageToDict(message, preserving_proto_field_name=True))
    return found


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= _LAST_EXACT
    return int(value) if is_whole else value


def brief(value: Mapping[str, Any]) -> str:
    """Return the fields of a request on one line: `job=score score.input=tickets.csv`."""
    return " ".join(f"{name}={each}" for name, each in _fields(value, ""))


def _fields(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, each in value.items():
        if isinstance(each, Mapping):
            yield from _fields(each, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", each


def iso(time: Timestamp) -> datetime:
    """Return a time."""
    return time.ToDatetime(tzinfo=UTC)


def estimate(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of an accuracy report with all its fields; those it does not have are None."""
    names = ("source", "label", "slice", "model_version", "since", "biased", "note")
    figures = ("accuracy", "low", "high", "row_count", "baseline")
    return {**dict.fromkeys((*names, *figures)), **found}


def pretty(value: Any) -> str:
    """Return a value of a run's result or a report as indented JSON; its numbers need no lines."""
    text = json.dumps(value, indent=2, ensure_ascii=False)[:MAX_PRETTY]
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "ago": ago,
    "word": word,
    "percent": percent,
    "number": number,
    "counted": counted,
    "plain": plain,
    "pretty": pretty,
    "brief": brief,
    "estimate": estimate,
    "shown": shown_lines,
}
