"""`tidemill evaluate`."""

from functools import partial
from typing import Annotated

import typer

from tidemill.v1 import job_service_pb2 as pb
from tidemill_cli.connection import connected
from tidemill_cli.evaluation_page import page
from tidemill_cli.evaluation_tables import print_evaluation
from tidemill_cli.failure import WrongUsage
from tidemill_cli.html_file import Html, show_found
from tidemill_cli.job_run import follow, require_success, start
from tidemill_cli.messages import to_json
from tidemill_cli.options import LARGEST, Address, AsJson, ForTask
from tidemill_cli.places import LabelColumn, ModelVersion, TextColumn, absolute
from tidemill_cli.tasks import the_task
from tidemill_cli.worst_errors import with_lines

app = typer.Typer(add_completion=False)
_EXAMPLE = "Example: tidemill evaluate labeled.csv --task support --model-version 4 --against 3"


@app.command(epilog=_EXAMPLE)
def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Labeled rows: a CSV, JSON Lines or Parquet file, a folder, a glob, a URL, or "
            "DATABASE#TABLE.",
        ),
    ],
    task: ForTask = "",
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    model_version: ModelVersion = 0,
    against: Annotated[
        int,
        typer.Option(
            min=0,
            max=LARGEST,
            help="Compare with this version on the same rows; 0 compares with none.",
        ),
    ] = 0,
    html: Html = None,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Measure a version on labeled rows; without a version, the champion.

    The machine of the jobs reads FILE. Predictions of an evaluation are not stored.
    """
    if against and against == model_version:
        raise WrongUsage("--against must name another version than --model-version")
    place = absolute(source)
    columns = {"text_column": text_column, "label_column": label_column}
    asked = pb.EvaluateParameters(
        input=place, **columns, model_version=model_version, against=against
    )
    with connected(address) as client:
        task = the_task(client, task, address)
        request = pb.RunJobRequest(job="evaluate", task=task, evaluate=asked)
        queued = start(client, request)
        finish = follow(client, queued.run_id)
    require_success(finish)
    found = {"task": task, **with_lines(to_json(finish.result), place)}
    show_found(found, partial(print_evaluation, found), partial(page, found), html, as_json)
