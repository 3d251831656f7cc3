"""`tidemill label`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tidemill.v1 import labeling_service_pb2 as pb
from tidemill_cli.agreement import Agreement, agreement_of
from tidemill_cli.connection import (
    CALL_SECONDS,
    Address,
    Limit,
    OnlyTask,
    collect,
    connected,
    current_user,
)
from tidemill_cli.dataset_files import write_whole
from tidemill_cli.failure import REQUEST_FAILED, WRONG_USAGE, CommandFailed
from tidemill_cli.label_import import read_tasks, submit_all
from tidemill_cli.label_session import label_items
from tidemill_cli.label_studio import to_task
from tidemill_cli.local import require_extras
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.output import (
    AsJson,
    percent,
    print_fields,
    print_json,
    print_table,
    say,
    shortened,
)
from tidemill_client import TidemillClient
from tidemill_core.domain.labeling import LabelItemState

app = typer.Typer(
    invoke_without_command=True,
    add_completion=False,
    help="Label texts that wait for people.",
    epilog="Example: tidemill label --task support",
)
_WAITING = (LabelItemState.OPEN, LabelItemState.LEASED)


@app.callback()
def label(
    context: typer.Context,
    task: Annotated[str, typer.Option(help="The task to label for.", show_default=False)] = "",
    annotator: Annotated[
        str, typer.Option(help="Who labels; without it, you.", show_default=False)
    ] = "",
    address: Address = "",
) -> None:
    """Label texts that wait for people.

    Without a command, one text after the other is shown, and a key or a few letters say which
    label it has. It goes on until none waits, or Ctrl-D. A skipped text comes back later.
    """
    if context.invoked_subcommand is not None:
        if task or annotator:
            raise typer.BadParameter(f"options go behind `{context.invoked_subcommand}`")
        return
    if not task:
        raise typer.BadParameter("name the task by --task")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandFailed(
            "labelling needs a terminal; `tidemill label export` and `tidemill label import` "
            "work without",
            WRONG_USAGE,
        )
    with connected(address) as client:
        tally = label_items(client, task, annotator or current_user())
    say(f"{tally.labelled} labelled, {tally.skipped} skipped, {tally.waiting} still wait")


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
    """List what people are asked, and what they say."""
    with connected(address) as client:
        found = _items(client, task, () if state is None else (state,), limit)
    if as_json:
        print_json([to_json(item) for item in found])
        return
    columns = ("queued (UTC)", "task", "reason", "state", "judgements", "label", "text", "id")
    print_table(columns, map(_row, found), empty="nothing is queued")


@app.command(epilog="Example: tidemill label agreement --task support")
def agreement(
    task: Annotated[str, typer.Option(help="The task that was labelled.")],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show how far annotators agree."""
    require_extras()
    with connected(address) as client:
        items = _items(client, task, (), sys.maxsize)
    found = agreement_of([[(each.annotator, each.label) for each in i.judgements] for i in items])
    if as_json:
        print_json(asdict(found))
    else:
        print_fields(_described(found))


@app.command(epilog="Example: tidemill label export waiting.json --task support")
def export(
    file: Annotated[Path, typer.Argument(help="A new file.")],
    task: OnlyTask = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Write what waits for judgements as Label Studio's tasks, in JSON."""
    if file.exists():
        raise CommandFailed(f"{file} is there already: name a new file", WRONG_USAGE)
    with connected(address) as client:
        items = _items(client, task, _WAITING, sys.maxsize)
    tasks = [to_task(item) for item in reversed(items)]
    content = json.dumps(tasks, ensure_ascii=False, indent=2).encode()
    write_whole(file.absolute(), lambda staged: staged.write_bytes(content))
    if as_json:
        print_json({"file": str(file), "tasks": len(tasks)})
    else:
        print_fields({"tasks": len(tasks), "file": file})


@app.command("import", epilog="Example: tidemill label import annotated.json")
def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="What Label Studio exported: JSON.")
    ],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Store the annotations of tasks that `tidemill label export` wrote.

    A task that is not sound is left out as a whole. Importing a file again stores nothing twice.
    """
    tasks = read_tasks(file)
    with connected(address) as client:
        accepted, rejections = submit_all(client, tasks)
    if as_json:
        rejected = [asdict(rejection) for rejection in rejections]
        print_json({"accepted": accepted, "rejected": len(rejected), "rejections": rejected})
    else:
        print_fields({"accepted": accepted, "rejected": len(rejections)})
        rows = ((each.row, each.annotator, each.reason, each.message) for each in rejections)
        if rejections:
            print_table(("row", "annotator", "reason", "why"), rows, empty="")
    if rejections:
        raise CommandFailed(f"{len(rejections)} were not stored", REQUEST_FAILED)


def _items(
    client: TidemillClient, task: str, states: tuple[LabelItemState, ...], limit: int
) -> list[pb.LabelItem]:
    numbers = [pb.LabelItemState.Value(f"LABEL_ITEM_STATE_{state}") for state in states]
    return collect(
        lambda size, token: client.labeling.ListLabelItems(
            pb.ListLabelItemsRequest(task=task, states=numbers, page_size=size, page_token=token),
            timeout=CALL_SECONDS,
        ),
        lambda page: page.label_items,
        limit,
    )


def _row(item: pb.LabelItem) -> tuple[Any, ...]:
    return (
        time_text(item.create_time),
        item.task,
        enum_name(item, "reason"),
        enum_name(item, "state"),
        f"{item.judgements_given} of {item.judgements_wanted}",
        item.label,
        shortened(item.text),
        item.label_item_id,
    )


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
