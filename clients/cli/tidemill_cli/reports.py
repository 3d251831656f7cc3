"""`tidemill reports`."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from tidemill.v1 import monitoring_service_pb2 as pb
from tidemill.v1.prediction_service_pb2 import GetPredictionRequest
from tidemill_cli.connection import connected
from tidemill_cli.failure import WrongUsage
from tidemill_cli.html_file import Html, show_found
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.options import Address, AsJson, Limit, OnlyTask, group
from tidemill_cli.output import print_fields, shortened
from tidemill_cli.report_page import page_of_report, page_of_task
from tidemill_cli.report_sections import example_ids, sections
from tidemill_cli.section import Section, print_section
from tidemill_cli.task_overview import overview_json, overview_of, overview_sections
from tidemill_cli.tasks import the_task
from tidemill_client import (
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TidemillClient,
    translated_errors,
)
from tidemill_core.domain.alert import AlertKind

app = group("tidemill reports show --html today.html")
_EXAMPLES = 5


@app.command("list", epilog="Example: tidemill reports list --task support --kind drift")
def list_reports(
    task: OnlyTask = "",
    kind: Annotated[
        AlertKind | None, typer.Option(help="Only this check.", show_default=False)
    ] = None,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List reports."""
    with connected(address) as client:
        request = pb.ListReportsRequest(task=task, kind=kind or "")
        found = collect(client.monitoring.ListReports, request, limit)
    columns: Columns = {
        "report id": "report_id",
        "written (UTC)": "create_time",
        "task": "task",
        "version": "model_version",
        "kind": "kind",
        "verdict": "verdict",
        "finding": "summary",
    }
    print_list(found, columns, "no reports yet; the checks run on a schedule", as_json)


@app.command(epilog="Example: tidemill reports show --task support --html today.html")
def show(
    report_id: Annotated[
        str, typer.Argument(help="The report's id; without it, a task's newest reports.")
    ] = "",
    task: OnlyTask = "",
    html: Html = None,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show one report, or how good a task is, what changed, and what is being done.

    The terminal shows some texts behind a report, as far as they are still stored. A page has no
    texts, because erasure cannot reach a file.
    """
    if report_id and task:
        raise WrongUsage("give a report's id or --task, not both")
    with connected(address) as client:
        if report_id:
            _show_report(client, report_id, html, as_json)
        else:
            _show_task(client, the_task(client, task, address), html, as_json)


def _show_report(client: TidemillClient, report_id: str, html: Path | None, as_json: bool) -> None:
    request = pb.GetReportRequest(report_id=report_id)
    report = client.monitoring.GetReport(request, timeout=CALL_SECONDS).report
    document = to_json(report)
    details = document["details"] or {}
    tables = list(sections(details))
    fields = _fields(report)
    show_found(
        document,
        lambda: _print(fields, [*tables, *_examples(client, details)]),
        partial(page_of_report, fields, tables),
        html,
        as_json,
    )


def _show_task(client: TidemillClient, task: str, html: Path | None, as_json: bool) -> None:
    overview = overview_of(client, task)
    show_found(
        overview_json(overview),
        lambda: _print({"task": task}, list(overview_sections(overview))),
        partial(page_of_task, overview),
        html,
        as_json,
    )


def _fields(report: pb.Report) -> Mapping[str, Any]:
    return {
        "report id": report.report_id,
        "task": report.task,
        "model version": report.model_version,
        "kind": report.kind,
        "verdict": enum_name(report, "verdict"),
        "finding": report.summary,
        "job run": report.run_id,
        "written": time_text(report.create_time) + " UTC",
    }


def _examples(client: TidemillClient, details: Mapping[str, Any]) -> Iterator[Section]:
    """Yield the texts behind a report that are still stored and that the caller may see."""
    for title, ids in example_ids(details).items():
        found = [_text_and_label(client, each) for each in ids[:_EXAMPLES]]
        if rows := [(label, shortened(text)) for text, label in found if text]:
            yield Section(title.capitalize(), ("answer", "text"), rows)


def _text_and_label(client: TidemillClient, prediction_id: str) -> tuple[str, str]:
    request = GetPredictionRequest(prediction_id=prediction_id)
    try:
        with translated_errors():
            found = client.predictions.GetPrediction(request, timeout=CALL_SECONDS)
    except (NotFound, PermissionDenied, InvalidRequest):  # the last if its key is gone
        return "", ""
    return found.text, found.prediction.label


def _print(fields: Mapping[str, Any], tables: Sequence[Section]) -> None:
    print_fields(fields)
    for table in tables:
        print_section(table)
