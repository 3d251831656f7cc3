"""`tidemill keys`. It uses the database directly: access to the database is all it needs."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from tidemill_cli.failure import WrongUsage
from tidemill_cli.local import require_task, workspace_settings
from tidemill_cli.messages import moment_text
from tidemill_cli.options import AsJson, group
from tidemill_cli.output import print_fields, print_json, print_table, say
from tidemill_cli.workspace_storage import audit_record, existing_storage, opened_storage
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import ApiKey, Scope

app = group("tidemill keys create --name shop --scope predict --scope feedback")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command(epilog="Example: tidemill keys create --name shop --scope predict --expires 90d")
def create(
    name: Annotated[str, typer.Option(help="The owner's name, for logs and audit records.")],
    scope: Annotated[list[Scope], typer.Option(help="What the key may be used for; repeatable.")],
    task: Annotated[
        list[str] | None,
        typer.Option(help="A task it may use; repeatable. Without it, all.", metavar="TASK"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(help="The most calls per second.", metavar="CALLS", show_default=False),
    ] = None,
    expires: Annotated[
        str,
        typer.Option(help="How long it is valid: 30d, 12h.", metavar="TIME", show_default=False),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Create a key. It is printed now and never again."""
    settings, now = workspace_settings(), system_clock()
    for each in task or []:
        require_task(settings, each)
    expire_time = now + _duration(expires) if expires else None
    with opened_storage(settings) as storage:
        from tidemill_core.storage.api_keys import NewApiKey  # part of the extras

        new = NewApiKey(name, frozenset(scope), frozenset(task or []), rate, expire_time)
        key, secret = storage.api_keys.create(new, now)
        storage.audit.append(audit_record("keys create", asdict(key), now))
    if as_json:
        print_json({**asdict(key), "api_key": secret})
        return
    print_fields({**_fields(key), "API key": secret})
    say("Keep the API key: only its hash is stored, so it cannot be shown again.")
    say("To use it: export TIDEMILL_API_KEY=... with the key in place of the dots.")
    say("Programs send it as metadata:  authorization: Bearer <API key>")


@app.command("list", epilog="Example: tidemill keys list --json")
def list_keys(as_json: AsJson = False) -> None:
    """List the keys, newest first."""
    with existing_storage(workspace_settings()) as storage:
        keys = [] if storage is None else storage.api_keys.list_all()
    if as_json:
        print_json(keys)
        return
    columns = ("key id", "name", "scopes", "tasks", "calls/s", "created (UTC)", "expires", "state")
    rows = (tuple(_fields(key).values()) for key in keys)
    print_table(
        columns, rows, "no keys yet; `tidemill keys create --name NAME --scope predict` creates one"
    )


@app.command(epilog="Example: tidemill keys revoke 0a1b2c3d4e5f")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Revoke a key; servers refuse it within a second."""
    now = system_clock()
    with opened_storage(workspace_settings()) as storage:
        key = storage.api_keys.revoke(key_id, now)
        storage.audit.append(audit_record("keys revoke", asdict(key), now))
    was_active = key.revoke_time == now
    if as_json:
        print_json({**asdict(key), "was_active": was_active})
        return
    print_fields(_fields(key))
    if not was_active:
        say("it was revoked before: nothing changed")


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if match is None:
        raise WrongUsage(f"--expires {text!r}: write a number and s, m, h or d, such as 30d")
    return timedelta(seconds=int(match[1]) * _SECONDS[match[2]])


def _state(key: ApiKey) -> str:
    if key.revoke_time is not None:
        return f"revoked {moment_text(key.revoke_time)}"
    if key.expire_time is not None and key.expire_time <= system_clock():
        return "expired"
    return "active"


def _fields(key: ApiKey) -> Mapping[str, Any]:
    """Return a key's fields for people."""
    return {
        "key id": key.key_id,
        "name": key.name,
        "scopes": ", ".join(sorted(key.scopes)),
        "tasks": ", ".join(sorted(key.tasks)) or "all",
        "calls/s": "any" if key.requests_per_second is None else f"{key.requests_per_second:g}",
        "created (UTC)": moment_text(key.create_time),
        "expires": moment_text(key.expire_time) if key.expire_time else "never",
        "state": _state(key),
    }
