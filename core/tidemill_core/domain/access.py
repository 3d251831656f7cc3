"""Who may call, and what for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

MAX_NAME_LENGTH = 200
"""Characters of a caller's name."""
_NAME = re.compile(rf"[^\x00-\x1f\x7f]{{1,{MAX_NAME_LENGTH}}}")


class Scope(StrEnum):
    """What a caller may do. None of them contains another."""

    PREDICT = "predict"
    """Ask for predictions, and read them again."""
    FEEDBACK = "feedback"
    """Judge predictions."""
    LABEL = "label"
    """Label texts that wait for people."""
    ADMIN = "admin"
    """See and change models, traffic, jobs and alerts."""


class Authentication(StrEnum):
    """How it is known who calls."""

    NONE = "none"
    API_KEY = "api_key"
    TOKEN = "token"  # noqa: S105 -- the word, not one
    LOCAL = "local"
    """A command on the machine itself, which reaches the database."""


@dataclass(frozen=True)
class ApiKey:
    """A key as its owners know it; its secret is not part of it.

    Attributes:
        key_id: its id, which is no secret.
        name: whose it is.
        scopes: what it may be used for.
        tasks: the tasks that it may be used for; empty means all.
        requests_per_second: how many calls it may begin; None means as many as it likes.
        create_time: when it was made.
        expire_time: from when on it is refused; None means never.
        revoke_time: since when it is refused; None while it is not.
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
    """Who makes a call.

    Attributes:
        name: for people: in logs and audit records.
        authentication: how that is known.
        scopes: what the caller may do.
        tasks: the tasks that the caller may name; empty means all.
        requests_per_second: how many calls it may begin; None means as many as it likes.
        caller_id: what its calls are counted under.
    """

    name: str
    authentication: Authentication
    scopes: frozenset[Scope]
    tasks: frozenset[str]
    requests_per_second: float | None
    caller_id: str


def _without_credential(name: str, scopes: frozenset[Scope]) -> Caller:
    return Caller(name, Authentication.NONE, scopes, frozenset(), None, name)


ANONYMOUS = _without_credential("anonymous", frozenset(Scope))
"""Who calls without a credential where none is required: it may do everything."""
NOBODY = _without_credential("nobody", frozenset())
"""Who calls what is open to everybody: a credential is not even looked at."""


@dataclass(frozen=True)
class AuditRecord:
    """One admin action, done or refused.

    Attributes:
        caller: the caller's name.
        authentication: how the caller was known.
        method: what was called: `/tidemill.v1.ModelService/SetTraffic`.
        task: the task it was for; empty where it names none.
        code: how it ended, as gRPC's code: `OK`, `FAILED_PRECONDITION`.
        reason: of the error; empty where there is none.
        request: the request's fields, without texts and secrets.
        peer: the address that it came from.
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
    """Whether it can name a caller: 1 to 200 characters, none of them a control character."""
    return _NAME.fullmatch(name) is not None
