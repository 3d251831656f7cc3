"""`tidemill audit`."""

from functools import partial
from itertools import islice
from typing import Annotated

import typer

from tidemill_cli.listing import Columns, print_list
from tidemill_cli.local import require_task, workspace_settings
from tidemill_cli.options import AsJson, Limit, OnlyTask, group
from tidemill_cli.workspace_storage import every, existing_storage
from tidemill_core.domain.access import AuditRecord

app = group("tidemill audit list --task support")


@app.callback()
def _audit() -> None:
    """Show who changed what."""


@app.command("list", epilog="Example: tidemill audit list --task support --json")
def list_records(
    task: OnlyTask = "",
    caller: Annotated[str, typer.Option(help="Only this caller.", show_default=False)] = "",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List admin actions, newest first; --json also shows how each caller was authenticated."""
    settings = workspace_settings()
    with existing_storage(settings) as storage:
        rows = () if storage is None else every(partial(storage.audit.page, task, caller))
        found = list(islice(rows, limit))
    if task and not found:
        require_task(settings, task)
    columns: Columns = {
        "time (UTC)": "create_time",
        "caller": "caller",
        "result": lambda record: record.reason or record.code,
        "action": _action,
    }
    print_list(found, columns, "no admin actions yet", as_json)


def _action(record: AuditRecord) -> str:
    request = ({"task": record.task} if record.task else {}) | dict(record.request)
    fields = (f"{name}={_value(each)}" for name, each in request.items() if each is not None)
    return " ".join([record.method.rpartition("/")[2], *fields])


def _value(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
