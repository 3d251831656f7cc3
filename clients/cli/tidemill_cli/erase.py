"""`tidemill erase`. It uses the database directly: access to the database is all it needs."""

from tidemill_cli.connection import current_user
from tidemill_cli.failure import WrongUsage
from tidemill_cli.listing import Columns, print_list
from tidemill_cli.local import require_task
from tidemill_cli.messages import moment_text
from tidemill_cli.options import AsJson, LastTask, TaskAndTexts, group
from tidemill_cli.output import print_json, say
from tidemill_cli.standard_input import given_texts
from tidemill_cli.tasks import only_one, task_and_texts
from tidemill_cli.workspace_storage import audit_record, existing_storage, opened_storage
from tidemill_core.clock import system_clock
from tidemill_core.domain.erasure import Erasure
from tidemill_core.domain.job import JobRunState, Trigger
from tidemill_core.domain.split import content_hash
from tidemill_core.settings import settings_with_tasks

app = group("tidemill erase texts support 'my name is Ann' · tidemill erase list support")


@app.command(
    epilog="Example: tidemill erase texts support 'my name is Ann' · "
    "cat texts.txt | tidemill erase texts support -"
)
def texts(arguments: TaskAndTexts, as_json: AsJson = False) -> None:
    """Erase texts from the database, the landed rows and the dataset versions.

    Case and spacing do not matter. Tidemill stores hashes of the texts, never the texts, and later
    builds leave out texts with these hashes. The job erase_texts does the work as soon as
    `tidemill up` runs. Models keep what they learned: retrain without the texts. Delete exported
    copies and backups yourself.
    """
    settings, now = settings_with_tasks(), system_clock()
    named, given = task_and_texts(arguments)
    task = named or only_one(list(settings.tasks))
    require_task(settings, task)
    hashes = {content_hash(text): None for text in given_texts(given) if text.strip()}
    if not hashes:
        raise WrongUsage("there is no text to erase")
    with opened_storage(settings) as storage:
        from tidemill_core.storage.jobs import RunRequest  # part of the extras

        made = [storage.erasures.request(task, each, current_user(), now) for each in hashes]
        request = {"text_hashes": list(hashes)}
        storage.audit.append(audit_record("erase texts", request, now, task))
        run = storage.jobs.enqueue(RunRequest("erase_texts", task, Trigger.ERASURE), now)
    if as_json:
        print_json({"run_id": run.run_id, "erasures": made})
        return
    say(f"{len(made)} to erase: run {run.run_id} of erase_texts does it while `tidemill up` runs")
    say(f"To follow it: tidemill erase list {task}")


@app.command("list", epilog="Example: tidemill erase list support --json")
def list_erasures(task: LastTask = "", as_json: AsJson = False) -> None:
    """List requests to erase texts, by the texts' hashes, and where the texts were found."""
    settings = settings_with_tasks()
    named = task or only_one(list(settings.tasks))
    with existing_storage(settings) as storage:
        found = [] if storage is None else storage.erasures.of_task(named)
        last = (
            None
            if storage is None
            else storage.jobs.latest("erase_texts", named, list(JobRunState))
        )
    if not found:
        require_task(settings, named)
    columns: Columns = {
        "text's hash": lambda erasure: erasure.text_hash[:12],
        "requested by": "requested_by",
        "requested (UTC)": "create_time",
        "erased (UTC)": _erased,
        "rows with it": _counts,
    }
    print_list(found, columns, f"no erased texts of {named} yet", as_json)
    is_open = any(erasure.erase_time is None for erasure in found)
    if is_open and last is not None and last.state is JobRunState.FAILED:
        say(f"not all are erased: run {last.run_id[:8]} failed: {last.error}")
        say(f"To try again: tidemill jobs run erase_texts --task {named}")


def _erased(erasure: Erasure) -> str:
    return moment_text(erasure.erase_time) if erasure.erase_time else "not yet"


def _counts(erasure: Erasure) -> str:
    found = ", ".join(f"{place} {count}" for place, count in erasure.counts.items() if count)
    return found or ("none" if erasure.erase_time else "")
