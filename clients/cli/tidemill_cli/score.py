"""`tidemill score`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from tidemill.v1 import job_service_pb2 as pb
from tidemill_cli.connection import connected
from tidemill_cli.job_run import follow as follow_run
from tidemill_cli.job_run import print_run, require_success, start
from tidemill_cli.messages import to_json
from tidemill_cli.options import Address, AsJson, ForTask
from tidemill_cli.output import bar, percent, print_fields, print_table, say, stdout
from tidemill_cli.places import Follow, ModelVersion, TextColumn, absolute
from tidemill_cli.tasks import the_task

app = typer.Typer(add_completion=False)
_EXAMPLE = "Example: tidemill score tickets.csv scored.csv --task support"
_BAR_WIDTH = 20


@app.command(epilog=_EXAMPLE)
def score(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="A CSV, JSON Lines or Parquet file, a folder, a glob, a URL, or DATABASE#TABLE.",
        ),
    ],
    output: Annotated[str, typer.Argument(metavar="OUT", help="A file, a URL, or DATABASE#TABLE.")],
    task: ForTask = "",
    text_column: TextColumn = "text",
    model_version: ModelVersion = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    log: Annotated[
        bool, typer.Option("--log", help="Store the predictions, so that they can get feedback.")
    ] = False,
    follow: Follow = True,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Predict the label of each row of a file or a table, and write another one.

    The machine of the jobs reads IN and writes OUT. OUT appears complete or not at all. If the run
    is stopped or killed, the same command goes on where it ended.
    """
    asked = pb.ScoreParameters(
        input=absolute(source),
        output=absolute(output),
        text_column=text_column,
        model_version=model_version,
        overwrite=overwrite,
        log_predictions=log,
    )
    with connected(address) as client:
        request = pb.RunJobRequest(job="score", task=the_task(client, task, address), score=asked)
        queued = start(client, request)
        finish = follow_run(client, queued.run_id) if follow else None
    if finish is None or as_json:
        print_run(finish or queued, as_json)
    elif finish.state == pb.JobRunState.JOB_RUN_STATE_SUCCEEDED:
        _print_summary(to_json(finish.result))
    if finish is not None:
        require_success(finish)


def _print_summary(result: Mapping[str, Any]) -> None:
    _print_counts(result)
    answered = int(result["answered"])
    if not answered:
        say("no row has an answer; the column prediction_error has the reasons", "yellow")
        return
    stdout().print()
    labels = [
        (label, f"{int(count):,}", percent(count / answered), bar(count / answered, _BAR_WIDTH))
        for label, count in sorted(result["labels"].items(), key=lambda each: -each[1])
    ]
    print_table(("label", "rows", "share", ""), labels, "")
    stdout().print()
    bins = result["confidence_counts"]
    shares = [
        (
            f"{i / len(bins):.1f} to {(i + 1) / len(bins):.1f}",
            f"{int(count):,}",
            bar(count / answered, _BAR_WIDTH),
        )
        for i, count in enumerate(bins)
    ]
    print_table(("confidence", "rows", ""), shares, "")


def _print_counts(result: Mapping[str, Any]) -> None:
    errors = [f"{int(count):,}  {rule}" for rule, count in result["errors"].items()]
    print_fields(
        {
            "output": result["output"],
            "model version": int(result["model_version"]),
            "rows": f"{int(result['rows']):,}",
            "kept from an earlier run": f"{int(result['kept_rows']):,}" * bool(result["kept_rows"]),
            "rows without an answer": errors,
            "abstained": f"{int(result['abstained']):,}" * bool(result["abstained"]),
            "mean confidence": percent(result["mean_confidence"]) if result["answered"] else "",
            "rate": f"{result['rows_per_second']:,.0f} rows/s",
        }
    )
