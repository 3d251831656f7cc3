"""Errors in settings, reported with the key or the variable that causes them."""

import json
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsError

from tidemill_core.errors import ConfigurationError
from tidemill_core.plain_rules import plain_rule

Place = tuple[int | str, ...]
"""A setting's path: its name and those of its sections, outermost first."""

WORKSPACE_FILE = "tidemill.toml"
PREFIX = "TIDEMILL_"
OTHER_VARIABLES = (
    "TIDEMILL_ADDRESS",
    "TIDEMILL_API_KEY",
    "TIDEMILL_CLIENT_CERTIFICATE",
    "TIDEMILL_CLIENT_KEY",
    "TIDEMILL_INSECURE",
    "TIDEMILL_LISTENERS",
    "TIDEMILL_READY_FD",
    "TIDEMILL_ROOT_CERTIFICATES",
    "TIDEMILL_SECRETS_DIR",
)
"""Variables that are not settings: commands and worker processes read them."""

_MAY_BE_SECRET = {
    "api_key",
    "control_key",
    "database_url",
    "dataset_storage",
    "mlflow_tracking_uri",
    "model_storage",
    "password",
    "prediction_id_keys",
    "routing_key",
    "secret",
    "url",
    "webhook_url",
}
_LONGEST_VALUE = 80
_CLOSE = 0.8
_KINDS = {"files", "sql", "http"}
# Kubernetes sets these in pods for each Service of the namespace, here tidemill or tidemill-x.
_SERVICE_LINK = re.compile(
    r"TIDEMILL_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


class NoTask(ConfigurationError):
    """Settings without a task, as outside a workspace."""

    reason = "NO_TASK"

    def __init__(self) -> None:
        file = Path(WORKSPACE_FILE).absolute()
        found = f"{file} has no task" if file.exists() else f"there is no {file}"
        super().__init__(
            f"{found}: change to a workspace's folder, or create a workspace with "
            "`tidemill init my-workspace --data FILE`"
        )


@contextmanager
def problems_named(settings: type[BaseModel]) -> Iterator[None]:
    """Report errors of the block, which reads settings, as ConfigurationError.

    Args:
        settings: the settings to read.

    Raises:
        ConfigurationError: a setting is unknown or wrong; names it, the rule, and the value unless
            it may be secret.
    """
    try:
        yield
    except ValidationError as error:
        known = list(_names(settings))
        lines = [
            _unknown(problem["loc"], known)
            if problem["type"] == "extra_forbidden"
            else _broken(problem["loc"], problem["input"], plain_rule(problem["msg"]))
            for problem in error.errors()
        ]
        raise _wrong(lines) from error
    except SettingsError as error:
        raise _wrong(_not_json(error.__cause__)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{Path(WORKSPACE_FILE).absolute()}: {error}") from error


def refuse_unknown_variables(settings: type[BaseModel], others: Collection[str]) -> None:
    """Refuse variables that look like settings but are not, so that a typo is noticed.

    Args:
        settings: the settings that variables can set.
        others: variables that are read elsewhere.

    Raises:
        ConfigurationError: there are such variables; names them.
    """
    known = [*map(_variable_of, _names(settings)), *OTHER_VARIABLES]
    read = {*known, *(name.upper() for name in others)}
    sections = {name for name, field in settings.model_fields.items() if _has_parts(field)}
    unknown = [
        f"{name}: there is no such setting{_suggestion(name, known)}"
        for name, value in _ours().items()
        if name not in read
        and name.partition("__")[0] not in set(map(_variable_of, sections))
        and not _is_service_link(name, value)
    ]
    if unknown:
        raise _wrong(unknown)


def _wrong(lines: list[str]) -> ConfigurationError:
    return ConfigurationError("wrong settings:\n  " + "\n  ".join(lines))


def _ours() -> Mapping[str, str]:
    """Return Tidemill's variables by upper-case name; either case sets a setting."""
    found = {name.upper(): value for name, value in os.environ.items()}
    return {name: value for name, value in found.items() if name.startswith(PREFIX)}


def _names(settings: type[BaseModel]) -> Iterator[str]:
    """Yield the names of settings as in the file: `grpc_port`, `feedback.retrain_after`."""
    for name, field in settings.model_fields.items():
        yield name
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            yield from (f"{name}.{inner}" for inner in section.model_fields)


def _has_parts(field: FieldInfo) -> bool:
    """Return whether a setting is a section or a table, whose parts have variables of their own."""
    kind = get_origin(field.annotation) or field.annotation
    return isinstance(kind, type) and issubclass(kind, BaseModel | dict)


def _variable_of(name: str) -> str:
    return PREFIX + name.replace(".", "__").upper()


def _unknown(place: Place, known: Collection[str]) -> str:
    name = _name(place)
    return f"{name}{_source(place)}: there is no such setting{_suggestion(name, known)}"


def _broken(place: Place, value: object, rule: str) -> str:
    is_shown = isinstance(value, str | int | float) and not _MAY_BE_SECRET & set(place)
    shown = f" is {value!r:.{_LONGEST_VALUE}}" if is_shown else ""
    source = _source(place) or (_source(place[:-1]) if rule == "missing" else "")
    return f"{_name(place)}{shown}{source}: {rule}{_cure(place, value)}"


def _name(place: Place) -> str:
    """Return a setting's name as in the file, without what pydantic adds to its path."""
    return ".".join(
        str(part)
        for before, part in pairwise(("", *place))
        if part != "[key]" and not (part in _KINDS and isinstance(before, int))
    )


def _source(place: Place) -> str:
    variable = _set_variable(place)
    return f" (from {variable})" if variable else ""


def _set_variable(place: Place) -> str:
    """Return the variable that sets a setting, its section or a part of it; empty if none does."""
    parts = list(map(str, place))
    names = [_variable_of(".".join(parts[:length])) for length in range(len(parts), 0, -1)]
    inner = [name for name in _ours() if name.startswith(f"{names[0]}__")]
    return next((name for name in [*names, *inner] if name in _ours()), "")


def _cure(place: Place, value: object) -> str:
    if not (isinstance(value, str) and _SERVICE_URL.match(value)):
        return ""
    service = _set_variable(place).removesuffix("_PORT").lower().replace("_", "-")
    return (
        f"; Kubernetes sets this for a Service named {service}: "
        "set enableServiceLinks: false in the pod's spec, or rename the Service"
    )


def _not_json(error: BaseException | None) -> list[str]:
    if not isinstance(error, json.JSONDecodeError):
        return [str(error)]
    wrong = [name for name, value in _ours().items() if value == error.doc]
    return [f"{', '.join(wrong)}: a table or a list must be JSON: {error}"]


def _suggestion(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, known, 1, _CLOSE)
    return f"; did you mean {close[0]}?" if close else ""


def _is_service_link(name: str, value: str) -> bool:
    if _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and _SERVICE_URL.match(value) is not None
