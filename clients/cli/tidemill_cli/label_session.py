"""One text after the other, until a person has had enough or none waits."""

from dataclasses import dataclass

from tidemill.v1 import labeling_service_pb2 as pb
from tidemill_cli.label_prompt import ask_for
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.messages import enum_name
from tidemill_cli.output import say, shown, shown_lines, stdout
from tidemill_client import FailedPrecondition, NotFound, TidemillClient, translated_errors


@dataclass
class Tally:
    """What became of a session.

    Attributes:
        labeled: judgements that are stored.
        skipped: texts that were passed over.
        waiting: texts that still wait for the annotator, skipped ones included.
    """

    labeled: int = 0
    skipped: int = 0
    waiting: int = 0


def label_items(client: TidemillClient, task: str, annotator: str) -> Tally:
    """Hand one item after the other to a person at the terminal.

    Raises:
        TidemillError: the server refuses or is away; what was labeled before is stored.
    """
    tally = Tally()
    while True:
        given = _lease(client, task, annotator)
        tally.waiting = given.waiting_count
        if not given.label_items:
            return tally
        item = given.label_items[0]
        ask, told = ask_for(given.labels)
        _show(item, tally, told)
        try:
            label = ask()
        except (EOFError, KeyboardInterrupt):
            return tally
        if label is None:
            tally.skipped += 1
        elif _submit(client, item, annotator, label):
            tally.labeled += 1


def _lease(client: TidemillClient, task: str, annotator: str) -> pb.LeaseLabelItemsResponse:
    request = pb.LeaseLabelItemsRequest(task=task, annotator=annotator)
    with translated_errors():
        return client.labeling.LeaseLabelItems(request, timeout=CALL_SECONDS)


def _submit(client: TidemillClient, item: pb.LabelItem, annotator: str, label: str) -> bool:
    """Store a judgement; whether the item still waited for it."""
    request = pb.SubmitLabelRequest(
        task=item.task, label_item_id=item.label_item_id, annotator=annotator, label=label
    )
    try:
        with translated_errors():
            client.labeling.SubmitLabel(request, timeout=CALL_SECONDS)
    except (FailedPrecondition, NotFound) as error:  # others decided it meanwhile
        say(f"not stored: {error.message}", style="yellow")
        return False
    stdout().print(f"→ {shown(label)}", style="green")
    return True


def _show(item: pb.LabelItem, tally: Tally, told: str) -> None:
    console = stdout()
    progress = f"{tally.labeled} labeled, {tally.waiting} waiting · {enum_name(item, 'reason')}"
    console.rule(progress, align="left")
    console.print(shown_lines(item.text))
    if item.suggested_labels:
        console.print(shown(f"suggested: {', '.join(item.suggested_labels)}"), style="cyan")
    console.print(shown(told), style="dim")
