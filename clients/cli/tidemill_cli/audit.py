"""`tidemill audit`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from tidemill_cli.connection import Limit, OnlyTask
from tidemill_cli.local import require_extras
from tidemill_cli.output import AsJson, print_json, print_table
from tidemill_core.domain.access import AuditRecord
from tidemill_core.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show who changed what.",
    epilog="Example: tidemill audit list --task support",
)


@app.callback()
def _audit() -> None:
    """Has no options of its own."""


@app.command("list", epilog="Example: tidemill audit list --task support --json")
def list_records(
    task: OnlyTask = "",
    caller: Annotated[str, typer.Option(help="Only this caller's.", show_default=False)] = "",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the admin actions, newest first."""
    require_extras()
    # The database's packages take half a second to import, which help should not pay.
    from tidemill_cli.workspace_storage import opened_storage
    from tidemill_core.storage.database import MAX_PAGE_SIZE, Page

    records: list[AuditRecord] = []
    token = ""
    with opened_storage(load_settings()) as storage:
        while True:
            page = Page.parse(min(limit - len(records), MAX_PAGE_SIZE), token)
            found, token = storage.audit.page(task, caller, page)
            records += found
            if not token or len(records) >= limit:
                break
    if as_json:
        documents = [{**asdict(r), "create_time": r.create_time.isoformat()} for r in records]
        print_json(documents)
        return
    columns = ("time (UTC)", "caller", "known by", "action", "task", "ended", "request", "from")
    print_table(columns, map(_row, records), empty="no admin action was written down yet")


def _row(record: AuditRecord) -> tuple[str, ...]:
    return (
        record.create_time.strftime("%Y-%m-%d %H:%M:%S"),
        record.caller,
        record.authentication,
        record.method.rpartition(".")[2],
        record.task,
        f"{record.code} {record.reason}".strip(),
        json.dumps(record.request, ensure_ascii=False),
        record.peer,
    )
