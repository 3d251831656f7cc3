"""`tidemill erase`. It works on the database itself: who may reach that may erase."""

from dataclasses import asdict
from typing import Annotated

import typer

from tidemill_cli.connection import current_user
from tidemill_cli.failure import WrongUsage
from tidemill_cli.local import require_task, settings_with_tasks
from tidemill_cli.messages import moment_text
from tidemill_cli.output import AsJson, print_json, print_table, say
from tidemill_cli.standard_input import stdin_lines
from tidemill_cli.tasks import LastTask, Task, only_one
from tidemill_cli.workspace_storage import audit_record, opened_storage
from tidemill_core.clock import system_clock
from tidemill_core.domain.erasure import Erasure
from tidemill_core.domain.job import Trigger
from tidemill_core.domain.split import content_hash

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    epilog="Example: tidemill erase texts support 'my name is Ann' · tidemill erase list support",
)


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
    settings, now = settings_with_tasks(), system_clock()
    require_task(settings, task)
    asked = list(stdin_lines()) if texts == ["-"] else texts
    hashes = {content_hash(text): None for text in asked if text.strip()}
    if not hashes:
        raise WrongUsage("there is no text to erase")
    with opened_storage(settings) as storage:
        from tidemill_core.storage.jobs import RunRequest  # it needs the extras too

        made = [storage.erasures.request(task, each, current_user(), now) for each in hashes]
        request = {"text_hashes": list(hashes)}
        storage.audit.append(audit_record("erase texts", request, now, task))
        run = storage.jobs.enqueue(RunRequest("erase_texts", task, Trigger.ERASURE), now)
    if as_json:
        print_json({"run_id": run.run_id, "erasures": list(map(asdict, made))})
        return
    say(f"{len(made)} to erase: run {run.run_id} of erase_texts does it while `tidemill up` runs")
    say(f"To see how far it is: tidemill erase list {task}")


@app.command("list", epilog="Example: tidemill erase list support --json")
def list_erasures(task: LastTask = "", as_json: AsJson = False) -> None:
    """List the texts that were to be erased, by their hashes, and where they were found."""
    settings = settings_with_tasks()
    named = task or only_one(list(settings.tasks))
    with opened_storage(settings) as storage:
        found = storage.erasures.of_task(named)
    if not found:
        require_task(settings, named)
    if as_json:
        print_json(list(map(asdict, found)))
        return
    columns = ("text's hash", "asked by", "asked (UTC)", "erased (UTC)", "rows that had it")
    print_table(columns, map(_row, found), empty=f"no text of {named} was to be erased")


def _row(erasure: Erasure) -> tuple[str, ...]:
    gone = erasure.erase_time
    return (
        erasure.text_hash[:12],
        erasure.requested_by,
        moment_text(erasure.create_time),
        moment_text(gone) if gone else "not yet",
        ", ".join(f"{place} {count}" for place, count in erasure.counts.items() if count),
    )
