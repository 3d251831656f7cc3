"""`tidemill erase`. It works on the database itself: who may reach that may erase."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from tidemill_cli.connection import current_user
from tidemill_cli.failure import WRONG_USAGE, CommandFailed
from tidemill_cli.local import require_extras, settings_with_tasks
from tidemill_cli.output import AsJson, print_json, print_table, say
from tidemill_cli.standard_input import stdin_lines
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import AuditRecord, Authentication
from tidemill_core.domain.erasure import Erasure
from tidemill_core.domain.job import Trigger
from tidemill_core.domain.split import content_hash

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Erase a person's texts, and show which were erased.",
    epilog="Example: tidemill erase texts support 'my name is Ann' · tidemill erase list support",
)
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

Task = Annotated[str, typer.Argument(help="The task.")]


@app.command(
    epilog="Example: tidemill erase texts support 'my name is Ann' · "
    "cat texts.txt | tidemill erase texts support -"
)
def texts(
    task: Task,
    texts: Annotated[
        list[str], typer.Argument(metavar="TEXT...", help="The texts; - reads lines from stdin.")
    ],
    as_json: AsJson = False,
) -> None:
    """Erase texts from what is stored, what landed of the sources, and the dataset versions.

    Case and spacing do not matter. The texts themselves are written down nowhere: a hash says
    which they are, so that they are left out if they come in again. The job erase_texts does the
    work, at once where `tidemill up` runs, else once it does. Models keep what they learned:
    retrain without it. Copies that were exported, and backups, are yours to clear.
    """
    require_extras()
    # The database's packages take half a second to import, which help should not pay.
    from tidemill_cli.workspace_storage import opened_storage
    from tidemill_core.storage.jobs import RunRequest

    settings, now = settings_with_tasks(), system_clock()
    if task not in settings.tasks:
        known = ", ".join(sorted(settings.tasks))
        message = f"there is no task {task!r} in this workspace; there are: {known}"
        raise CommandFailed(message, WRONG_USAGE)
    asked = list(stdin_lines()) if texts == ["-"] else texts
    hashes = {content_hash(text): None for text in asked if text.strip()}
    if not hashes:
        raise CommandFailed("there is no text to erase", WRONG_USAGE)
    with opened_storage(settings) as storage:
        requested_by = current_user()
        made = [storage.erasures.request(task, each, requested_by, now) for each in hashes]
        storage.audit.append(_audit_record(task, requested_by, list(hashes), now))
        run = storage.jobs.enqueue(RunRequest("erase_texts", task, Trigger.ERASURE), now)
    if as_json:
        print_json({"run_id": run.run_id, "erasures": [_document(each) for each in made]})
        return
    say(f"{len(made)} to erase: run {run.run_id} of erase_texts does it while `tidemill up` runs")
    say(f"To see how far it is: tidemill erase list {task}")


@app.command("list", epilog="Example: tidemill erase list support --json")
def list_erasures(task: Task, as_json: AsJson = False) -> None:
    """List the texts that were to be erased, by their hashes, and where they were found."""
    require_extras()
    from tidemill_cli.workspace_storage import opened_storage

    with opened_storage(settings_with_tasks()) as storage:
        found = storage.erasures.of_task(task)
    if as_json:
        print_json([_document(each) for each in found])
        return
    columns = ("text's hash", "asked by", "asked (UTC)", "erased (UTC)", "rows that had it")
    print_table(columns, map(_row, found), empty=f"nothing of {task} was to be erased")


def _row(erasure: Erasure) -> tuple[str, ...]:
    gone = erasure.erase_time
    return (
        erasure.text_hash[:12],
        erasure.requested_by,
        erasure.create_time.strftime(_TIME_FORMAT),
        gone.strftime(_TIME_FORMAT) if gone else "not yet",
        ", ".join(f"{place} {count}" for place, count in erasure.counts.items() if count),
    )


def _document(erasure: Erasure) -> Mapping[str, Any]:
    gone = erasure.erase_time.isoformat() if erasure.erase_time else None
    created = erasure.create_time.isoformat()
    return {**asdict(erasure), "create_time": created, "erase_time": gone}


def _audit_record(task: str, caller: str, hashes: list[str], now: datetime) -> AuditRecord:
    return AuditRecord(
        caller=caller,
        authentication=Authentication.LOCAL,
        method="tidemill erase texts",
        task=task,
        code="OK",
        reason="",
        request={"text_hashes": hashes},
        peer="",
        create_time=now,
    )
