"""`tidemill audit`."""

from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Annotated

import typer

from tidemill_cli.listing import Limit
from tidemill_cli.local import require_task
from tidemill_cli.messages import moment_text
from tidemill_cli.output import AsJson, print_json, print_table
from tidemill_cli.tasks import OnlyTask
from tidemill_cli.workspace_storage import every, opened_storage
from tidemill_core.domain.access import AuditRecord
from tidemill_core.settings import load_settings

app = typer.Typer(
    no_args_is_help=True, add_completion=False, epilog="Example: tidemill audit list --task support"
)


@app.callback()
def _audit() -> None:
    """Show who changed what."""


@app.command("list", epilog="Example: tidemill audit list --task support --json")
def list_records(
    task: OnlyTask = "",
    caller: Annotated[str, typer.Option(help="Only this caller's.", show_default=False)] = "",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the admin actions, newest first; --json also has how each caller was known."""
    settings = load_settings()
    with opened_storage(settings) as storage:
        found = list(islice(every(partial(storage.audit.page, task, caller)), limit))
    if task and not found:
        require_task(settings, task)
    if as_json:
        print_json(list(map(asdict, found)))
        return
    columns = ("time (UTC)", "caller", "ended", "action")
    print_table(columns, map(_row, found), empty="no admin action is recorded yet")


def _row(record: AuditRecord) -> tuple[str, ...]:
    request = {"task": record.task} if record.task else {}
    request |= record.request
    return (
        moment_text(record.create_time),
        record.caller,
        record.reason or record.code,
        " ".join(
            [
                record.method.rpartition("/")[2],
                *(f"{name}={value}" for name, value in request.items()),
            ]
        ),
    )
