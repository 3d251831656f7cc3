"""`tidemill reports`."""

from typing import Annotated, Literal

import typer

from tidemill.v1 import monitoring_service_pb2 as pb
from tidemill_cli.alerts import acknowledge, list_alerts
from tidemill_cli.connection import connected
from tidemill_cli.listing import CALL_SECONDS, Columns, print_list, print_one
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.options import Address, AsJson, Limit, OnlyTask, group
from tidemill_cli.output import print_table
from tidemill_cli.tasks import collect_of

app = group("tidemill reports list --kind accuracy")


@app.command("list", epilog="Example: tidemill reports list --task support --kind drift")
def list_reports(
    task: OnlyTask = "",
    kind: Annotated[
        Literal["drift", "accuracy", "latency", "rollout", "retraining"] | None,
        typer.Option(help="Only this check.", show_default=False),
    ] = None,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List reports."""
    with connected(address) as client:
        request = pb.ListReportsRequest(task=task, kind=kind or "")
        found = collect_of(client, client.monitoring.ListReports, request, limit)
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


@app.command(epilog="Example: tidemill reports show REPORT_ID --json")
def show(
    report_id: Annotated[str, typer.Argument(help="The report's id.")],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show one report with its figures."""
    with connected(address) as client:
        request = pb.GetReportRequest(report_id=report_id)
        report = client.monitoring.GetReport(request, timeout=CALL_SECONDS).report
    fields = {
        "report id": report.report_id,
        "task": report.task,
        "model version": report.model_version,
        "kind": report.kind,
        "verdict": enum_name(report, "verdict"),
        "finding": report.summary,
        "job run": report.run_id,
        "written": time_text(report.create_time) + " UTC",
    }
    print_one(report, fields, as_json)
    if not as_json:
        figures = sorted((to_json(report)["details"] or {}).items())
        print_table(("figure", "value"), figures, empty="the report has no figures")


# The commands had these names before `tidemill alerts` existed.
app.command("alerts", hidden=True, epilog="Example: tidemill alerts list")(list_alerts)
app.command(hidden=True, epilog="Example: tidemill alerts acknowledge ALERT_ID")(acknowledge)
