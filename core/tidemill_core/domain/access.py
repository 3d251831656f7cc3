"""Callers, their credentials and what they may do."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

MAX_NAME_LENGTH = 200
"""In characters."""
_NAME = re.compile(rf"[^\x00-\x1f\x7f]{{1,{MAX_NAME_LENGTH}}}")


class Scope(StrEnum):
    """A right of a caller. No scope includes another."""

    PREDICT = "predict"
    """Request predictions and read them again."""
    FEEDBACK = "feedback"
    """Judge predictions."""
    LABEL = "label"
    """Label texts that are queued for people."""
    ADMIN = "admin"
    """See and change models, traffic, jobs and alerts."""


class Authentication(StrEnum):
    """How a caller is identified."""

    NONE = "none"
    API_KEY = "api_key"
    TOKEN = "token"  # noqa: S105 -- the word, not a token
    LOCAL = "local"
    """A command on the machine itself, with direct access to the database."""


@dataclass(frozen=True)
class ApiKey:
    """An API key without its secret.

    Attributes:
        key_id: its id, which is not secret.
        name: the owner's name.
        scopes: what it allows.
        tasks: the tasks that it is valid for; empty means all.
        requests_per_second: limit of its calls; None means no limit.
        create_time: when it was created.
        expire_time: when it expires; None means never.
        revoke_time: when it was revoked; None if it was not.
    """

    key_id: str
    name: str
    scopes: frozenset[Scope]
    tasks: frozenset[str]
    requests_per_second: float | None
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None


@dataclass(frozen=True)
class Caller:
    """The caller of a method.

    Attributes:
        name: shown in logs and audit records.
        authentication: how the caller was identified.
        scopes: what the caller may do.
        tasks: the tasks that the caller may name; empty means all.
        requests_per_second: limit of the caller's calls; None means no limit.
        caller_id: the key under which its calls are counted.
        expires: Unix time in seconds at which its credential expires.
    """

    name: str
    authentication: Authentication
    scopes: frozenset[Scope]
    tasks: frozenset[str]
    requests_per_second: float | None
    caller_id: str
    expires: float = math.inf


def _without_credential(name: str, scopes: frozenset[Scope]) -> Caller:
    return Caller(name, Authentication.NONE, scopes, frozenset(), None, name)


ANONYMOUS = _without_credential("anonymous", frozenset(Scope))
"""A caller without a credential where none is required; it may do everything."""
NOBODY = _without_credential("nobody", frozenset())
"""The caller of a method that is open to everyone; its credential is not checked."""


@dataclass(frozen=True)
class AuditRecord:
    """One admin action, done or refused.

    Attributes:
        caller: the caller's name.
        authentication: how the caller was identified.
        method: the method: `/tidemill.v1.ModelService/SetTraffic`.
        task: the task it was for; empty if it names no task.
        code: the resulting gRPC code: `OK`, `FAILED_PRECONDITION`.
        reason: the error's reason; empty if it succeeded.
        request: the request's fields, without texts and secrets.
        peer: the address that the call came from.
        create_time: when it ended.
    """

    caller: str
    authentication: Authentication
    method: str
    task: str
    code: str
    reason: str
    request: Mapping[str, Any]
    peer: str
    create_time: datetime


def is_caller_name(name: str) -> bool:
    """Return whether a name is valid: 1 to 200 characters, no control characters."""
    return _NAME.fullmatch(name) is not None
