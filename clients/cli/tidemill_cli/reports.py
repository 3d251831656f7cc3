"""`tidemill reports`."""

from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from tidemill.v1.monitoring_service_pb2 import (
    AcknowledgeAlertRequest,
    Alert,
    GetReportRequest,
    ListAlertsRequest,
    ListReportsRequest,
    Report,
)
from tidemill_cli.connection import (
    CALL_SECONDS,
    Address,
    Limit,
    OnlyTask,
    collect,
    connected,
    current_user,
)
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.output import AsJson, print_fields, print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show what the checks found, and take alerts on.",
    epilog="Example: tidemill reports alerts --unacknowledged",
)


@app.command("list", epilog="Example: tidemill reports list --task support --kind drift")
def list_reports(
    task: OnlyTask = "",
    kind: Annotated[
        str, typer.Option(help="Only drift, accuracy or latency.", show_default=False)
    ] = "",
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List reports."""
    with connected(address) as client:
        reports: list[Report] = collect(
            lambda size, token: client.monitoring.ListReports(
                ListReportsRequest(task=task, kind=kind, page_size=size, page_token=token),
                timeout=CALL_SECONDS,
            ),
            lambda page: page.reports,
            limit,
        )
    if as_json:
        print_json([to_json(report) for report in reports])
        return
    columns = ("report id", "written (UTC)", "task", "version", "kind", "verdict", "finding")
    rows = (
        (
            report.report_id,
            time_text(report.create_time),
            report.task,
            report.model_version,
            report.kind,
            enum_name(report, "verdict"),
            report.summary,
        )
        for report in reports
    )
    print_table(columns, rows, empty="no reports yet; the checks run on their schedule")


@app.command(epilog="Example: tidemill reports show REPORT_ID --json")
def show(
    report_id: Annotated[str, typer.Argument(help="The report's id.")],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show one report with the figures behind it."""
    with connected(address) as client:
        request = GetReportRequest(report_id=report_id)
        report = client.monitoring.GetReport(request, timeout=CALL_SECONDS).report
    document = to_json(report)
    if as_json:
        print_json(document)
        return
    print_fields(
        {
            "report id": report.report_id,
            "task": report.task,
            "model version": report.model_version,
            "kind": report.kind,
            "verdict": enum_name(report, "verdict"),
            "finding": report.summary,
            "job run": report.run_id,
            "written": time_text(report.create_time) + " UTC",
        }
    )
    figures = sorted((document["details"] or {}).items())
    print_table(("figure", "value"), figures, empty="it has no figures")


@app.command(epilog="Example: tidemill reports alerts --unacknowledged --json")
def alerts(
    task: OnlyTask = "",
    unacknowledged: Annotated[
        bool, typer.Option("--unacknowledged", help="Only those that nobody has taken on.")
    ] = False,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List alerts."""
    with connected(address) as client:
        found: list[Alert] = collect(
            lambda size, token: client.monitoring.ListAlerts(
                ListAlertsRequest(
                    task=task,
                    unacknowledged_only=unacknowledged,
                    page_size=size,
                    page_token=token,
                ),
                timeout=CALL_SECONDS,
            ),
            lambda page: page.alerts,
            limit,
        )
    if as_json:
        print_json([to_json(alert) for alert in found])
        return
    columns = ("alert id", "raised (UTC)", "task", "kind", "taken on", "found")
    rows = (
        (
            alert.alert_id,
            time_text(alert.create_time),
            alert.task,
            alert.kind,
            _taken_on(alert),
            alert.message,
        )
        for alert in found
    )
    print_table(columns, rows, empty="no alerts")


@app.command(epilog="Example: tidemill reports acknowledge ALERT_ID")
def acknowledge(
    alert_id: Annotated[str, typer.Argument(help="The alert's id.")],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Say that you have taken an alert on."""
    request = AcknowledgeAlertRequest(alert_id=alert_id, actor=current_user())
    with connected(address) as client:
        alert = client.monitoring.AcknowledgeAlert(request, timeout=CALL_SECONDS).alert
    if as_json:
        print_json(to_json(alert))
        return
    print_fields(
        {
            "alert id": alert.alert_id,
            "task": alert.task,
            "found": alert.message,
            "taken on": _taken_on(alert),
        }
    )


def _taken_on(alert: Alert) -> str:
    if alert.acknowledge_time == Timestamp():
        return "nobody"
    return f"{alert.acknowledged_by}, {time_text(alert.acknowledge_time)} UTC"
