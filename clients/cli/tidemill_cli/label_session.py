"""A session in which a person labels one text after another."""

from dataclasses import dataclass

from tidemill.v1 import labeling_service_pb2 as pb
from tidemill_cli.label_prompt import ask_for
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.messages import enum_name
from tidemill_cli.output import say, stdout
from tidemill_client import FailedPrecondition, NotFound, TidemillClient, translated_errors
from tidemill_core.shown import shown, shown_lines


@dataclass
class Tally:
    """The counts of a session.

    Attributes:
        labeled: the number of stored judgements.
        skipped: the number of skipped texts.
        waiting: the number of texts that still wait for the annotator, including skipped ones.
    """

    labeled: int = 0
    skipped: int = 0
    waiting: int = 0


def label_items(client: TidemillClient, task: str, annotator: str) -> Tally:
    """Ask a person at the terminal for the label of one item after another.

    Returns:
        The counts once no item waits, or the person ends the session.

    Raises:
        RpcError: the server refuses or cannot be reached; earlier judgements are stored.
    """
    tally = Tally()
    while True:
        request = pb.LeaseLabelItemsRequest(task=task, annotator=annotator)
        given = client.labeling.LeaseLabelItems(request, timeout=CALL_SECONDS)
        tally.waiting = given.waiting_count
        if not given.label_items:
            return tally
        item = given.label_items[0]
        ask, hint = ask_for(given.labels)
        _show(item, tally, hint)
        try:
            label = ask()
        except (EOFError, KeyboardInterrupt):
            return tally
        if label is None:
            tally.skipped += 1
        elif _submit(client, item, annotator, label):
            tally.labeled += 1


def _submit(client: TidemillClient, item: pb.LabelItem, annotator: str, label: str) -> bool:
    """Store a judgement; return False if the item no longer waits for one."""
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


def _show(item: pb.LabelItem, tally: Tally, hint: str) -> None:
    console = stdout()
    progress = f"{tally.labeled} labeled, {tally.waiting} waiting · {enum_name(item, 'reason')}"
    console.rule(progress, align="left")
    console.print(shown_lines(item.text))
    if item.suggested_labels:
        console.print(shown(f"suggested: {', '.join(item.suggested_labels)}"), style="cyan")
    console.print(shown(hint), style="dim")
