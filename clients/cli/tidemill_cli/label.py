"""`tidemill label`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tidemill.v1 import labeling_service_pb2 as pb
from tidemill_cli.agreement import Agreement, agreement_of
from tidemill_cli.connection import connected, current_user
from tidemill_cli.dataset_files import ExportPlace
from tidemill_cli.failure import WrongUsage
from tidemill_cli.label_import import LabelImport, read_tasks
from tidemill_cli.label_session import label_items
from tidemill_cli.label_studio import to_task
from tidemill_cli.listing import Columns, collect, print_list, print_one
from tidemill_cli.local import require_extras
from tidemill_cli.options import Address, AsJson, ForTask, Limit, OnlyTask
from tidemill_cli.output import percent, say, shortened
from tidemill_cli.rejections import print_outcome
from tidemill_cli.tasks import the_task
from tidemill_client import TidemillClient
from tidemill_core.domain.labeling import LabelItemState

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    epilog="Example: tidemill label --task support",
)
_WAITING = (LabelItemState.OPEN, LabelItemState.LEASED)


@app.callback()
def label(
    context: typer.Context,
    task: ForTask = "",
    annotator: Annotated[
        str, typer.Option(help="Who labels; you by default.", show_default=False)
    ] = "",
    address: Address = "",
) -> None:
    """Label the texts that wait for people.

    Without a command, it shows one text after another, and a key or a few letters choose the label.
    It ends when no text waits, or at Ctrl-D. A skipped text comes back later.
    """
    if context.invoked_subcommand is not None:
        if task or annotator:
            raise WrongUsage(f"put options after `{context.invoked_subcommand}`")
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongUsage(
            "labeling needs a terminal; `tidemill label export` and `tidemill label import` do not"
        )
    with connected(address) as client:
        named = the_task(client, task, address)
        tally = label_items(client, named, annotator or current_user())
    say(f"{tally.labeled} labeled, {tally.skipped} skipped, {tally.waiting} still wait")


@app.command("list", epilog="Example: tidemill label list --task support --state UNRESOLVED")
def list_items(
    task: OnlyTask = "",
    state: Annotated[
        LabelItemState | None, typer.Option(help="Only items in this state.", show_default=False)
    ] = None,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List the items for people, and their judgements."""
    with connected(address) as client:
        found = _items(client, task, () if state is None else (state,), limit)
    columns: Columns = {
        "queued (UTC)": "create_time",
        "task": "task",
        "reason": "reason",
        "state": "state",
        "judgements": lambda item: f"{item.judgements_given} of {item.judgements_wanted}",
        "label": "label",
        "text": lambda item: shortened(item.text),
        "id": "label_item_id",
    }
    print_list(found, columns, "no texts for people yet", as_json)


@app.command(epilog="Example: tidemill label agreement --task support")
def agreement(task: ForTask = "", address: Address = "", as_json: AsJson = False) -> None:
    """Show how far annotators agree."""
    require_extras()
    with connected(address) as client:
        items = _items(client, the_task(client, task, address), (), sys.maxsize)
    found = agreement_of([[(each.annotator, each.label) for each in i.judgements] for i in items])
    print_one(found, _described(found), as_json)


@app.command(epilog="Example: tidemill label export waiting.json --task support")
def export(
    file: Annotated[str, typer.Argument(help="A new file, or its URL (s3://…).")],
    task: OnlyTask = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Write the items that wait for judgements as Label Studio's tasks, in JSON."""
    place = ExportPlace(file)
    place.refuse_existing("name a new file")
    place.require_writable()
    with connected(address) as client:
        items = _items(client, task, _WAITING, sys.maxsize)
    tasks = [to_task(item) for item in reversed(items)]
    content = json.dumps(tasks, ensure_ascii=False, indent=2).encode()
    place.write(lambda staged: staged.write_bytes(content))
    done = {"tasks": len(tasks), "file": file}
    print_one(done, done, as_json)


@app.command("import", epilog="Example: tidemill label import annotated.json")
def import_file(
    file: Annotated[Path, typer.Argument(help="A JSON export of Label Studio.")],
    new_label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL", help="A label to accept as new; repeatable.", show_default=False
        ),
    ] = None,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Store the annotations of tasks that `tidemill label export` wrote.

    An invalid task is left out completely. A label that is new to its task may be a typo: on a
    terminal you are asked, elsewhere --new-label accepts it. Importing a file again stores nothing
    twice.
    """
    tasks = read_tasks(file)
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    with connected(address) as client:
        sent = LabelImport(client, new_label or (), _is_new if asks else _is_unknown)
        outcome = sent.submit_all(tasks)
    named = " ".join(f"--new-label {shlex.quote(label)}" for label in sent.left_out)
    advice = f"to accept new labels, import the file again with {named}" if named else ""
    print_outcome(outcome, as_json, advice)


def _is_new(message: str, count: int) -> bool:
    """Ask a person whether a label is new."""
    say(message)
    return typer.confirm(f"Annotations with it: {count}. Accept it as a new label?", err=True)


def _is_unknown(_message: str, _count: int) -> bool:
    """Accept no new label, as no one can be asked."""
    return False


def _items(
    client: TidemillClient, task: str, states: tuple[LabelItemState, ...], limit: int
) -> list[pb.LabelItem]:
    numbers = [pb.LabelItemState.Value(f"LABEL_ITEM_STATE_{state}") for state in states]
    request = pb.ListLabelItemsRequest(task=task, states=numbers)
    return collect(client.labeling.ListLabelItems, request, limit)


def _described(found: Agreement) -> dict[str, Any]:
    agreement = "" if found.agreement is None else f" ({percent(found.agreement)})"
    return {
        "judgements": found.judgements,
        "annotators": found.annotators,
        "items judged": found.judged,
        "judged by several": found.judged_by_several,
        "they agree on": f"{found.agreed}{agreement}",
        "Krippendorff's alpha": "not known yet" if found.alpha is None else f"{found.alpha:.3f}",
    }
