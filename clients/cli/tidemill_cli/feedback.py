"""`tidemill feedback`."""

from pathlib import Path
from typing import Annotated

import typer

from tidemill.v1.feedback_service_pb2 import Feedback, ListFeedbackRequest
from tidemill_cli.connection import connected, current_user
from tidemill_cli.failure import WrongUsage
from tidemill_cli.feedback_file import send_file
from tidemill_cli.feedback_held import (
    DROP_EXAMPLE,
    HELD_EXAMPLE,
    RELEASE_EXAMPLE,
    drop,
    held,
    release,
)
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list, print_one
from tidemill_cli.options import Address, AsJson, Limit, OnlyTask, group
from tidemill_cli.rejections import print_outcome
from tidemill_client.requests import feedback_request

app = group("tidemill feedback submit PREDICTION_ID --label refund")


@app.command(epilog="Example: tidemill feedback submit PREDICTION_ID --label refund --source ann")
def submit(
    prediction_id: Annotated[str, typer.Argument(help="The id that `tidemill predict` printed.")],
    correct: Annotated[
        bool | None, typer.Option("--correct/--incorrect", help="Whether the label is right.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="The right label.", show_default=False)] = None,
    source: Annotated[
        str, typer.Option(help="Who says so; you by default.", show_default=False)
    ] = "",
    comment: Annotated[str, typer.Option(help="Their words.", show_default=False)] = "",
    text: Annotated[
        str,
        typer.Option(help="The predicted text, if texts are not kept.", show_default=False),
    ] = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Say whether a prediction is right, or which label is right."""
    if (correct is None) == (label is None):
        raise WrongUsage("give one of --correct, --incorrect and --label")
    request = feedback_request(
        prediction_id,
        correct=correct,
        label=label,
        source=source or current_user(),
        comment=comment,
        text=text,
        request_id="",
    )
    with connected(address) as client:
        stored = client.feedback.SubmitFeedback(request, timeout=CALL_SECONDS).feedback
    fields = {
        "stored": stored.feedback_id,
        "verdict": _verdict(stored),
        "task": stored.task,
        "model version": stored.model_version,
        "source": stored.source,
    }
    print_one(stored, fields, as_json)


@app.command("list", epilog="Example: tidemill feedback list --task support --json")
def list_feedback(
    task: OnlyTask = "",
    prediction_id: Annotated[
        str, typer.Option(help="Only this prediction.", show_default=False)
    ] = "",
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List feedback."""
    with connected(address) as client:
        request = ListFeedbackRequest(task=task, prediction_id=prediction_id)
        found = collect(client.feedback.ListFeedback, request, limit)
    columns: Columns = {
        "stored (UTC)": "create_time",
        "task": "task",
        "version": "model_version",
        "verdict": _verdict,
        "source": "source",
        "comment": "comment",
        "prediction id": "prediction_id",
    }
    print_list(found, columns, "no feedback yet", as_json)


@app.command("import", epilog="Example: tidemill feedback import verdicts.jsonl")
def import_file(
    file: Annotated[Path, typer.Argument(help="A JSON Lines file.")],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Store many verdicts from a file.

    Each line is an object with prediction_id, and correct (true or false) or label; source,
    comment, text and request_id are optional.
    """
    with connected(address) as client:
        outcome = send_file(client, file)
    print_outcome(outcome, as_json)


app.command(epilog=HELD_EXAMPLE)(held)
app.command(epilog=RELEASE_EXAMPLE)(release)
app.command(epilog=DROP_EXAMPLE)(drop)


def _verdict(feedback: Feedback) -> str:
    if feedback.WhichOneof("verdict") == "label":
        return f"label {feedback.label}"
    return "correct" if feedback.correct else "incorrect"
