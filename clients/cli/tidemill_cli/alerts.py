"""`tidemill alerts`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from tidemill.v1 import monitoring_service_pb2 as pb
from tidemill_cli.connection import connected, current_user
from tidemill_cli.failure import WrongUsage
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list, print_one
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.options import Address, AsJson, Limit, OnlyTask, group
from tidemill_cli.output import print_json, say
from tidemill_core.domain.alert import AlertKind

app = group('tidemill alerts silence --task support --for 2h --reason "known outage"')
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=90)  # the server's bound


@app.command("list", epilog="Example: tidemill alerts list --unresolved --json")
def list_alerts(
    task: OnlyTask = "",
    unacknowledged: Annotated[
        bool,
        typer.Option("--unacknowledged", help="Only unresolved ones that no one acknowledged."),
    ] = False,
    unresolved: Annotated[
        bool, typer.Option("--unresolved", help="Only those whose problem goes on.")
    ] = False,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List alerts."""
    request = pb.ListAlertsRequest(
        task=task, unacknowledged_only=unacknowledged, unresolved_only=unresolved
    )
    with connected(address) as client:
        found = collect(client.monitoring.ListAlerts, request, limit)
    columns: Columns = {
        "alert id": "alert_id",
        "raised (UTC)": "create_time",
        "task": "task",
        "kind": "kind",
        "severity": "severity",
        "state": state_of,
        "found": "message",
    }
    print_list(found, columns, "no alerts", as_json)


@app.command(epilog="Example: tidemill alerts acknowledge ALERT_ID")
def acknowledge(
    alert_id: Annotated[str, typer.Argument(help="The alert's id.")],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Say that you take care of an alert."""
    request = pb.AcknowledgeAlertRequest(alert_id=alert_id, actor=current_user())
    with connected(address) as client:
        alert = client.monitoring.AcknowledgeAlert(request, timeout=CALL_SECONDS).alert
    fields = {
        "alert id": alert.alert_id,
        "task": alert.task,
        "severity": enum_name(alert, "severity"),
        "found": alert.message,
        "what to do": alert.advice,
        "report": f"tidemill reports show {alert.report_id}",
        "state": state_of(alert),
    }
    print_one(alert, fields, as_json)


@app.command(epilog='Example: tidemill alerts silence --kind drift --for 2h --reason "a campaign"')
def silence(
    length: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h or 3d; up to 90d.")
    ],
    reason: Annotated[str, typer.Option(help="Why.")],
    task: OnlyTask = "",
    kind: Annotated[
        AlertKind | None, typer.Option(help="Only this kind of alerts.", show_default=False)
    ] = None,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Hold new alerts back for a time; those that are unresolved then are sent."""
    end = Timestamp()
    end.FromDatetime(datetime.now(UTC) + _length(length))
    request = pb.SilenceAlertsRequest(
        task=task, kind=kind or "", end_time=end, reason=reason, actor=current_user()
    )
    with connected(address) as client:
        made = client.monitoring.SilenceAlerts(request, timeout=CALL_SECONDS).silence
    _print_silence(made, as_json)


@app.command(epilog="Example: tidemill alerts silences --all")
def silences(
    all_of_them: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List silences."""
    request = pb.ListSilencesRequest(active_only=not all_of_them)
    with connected(address) as client:
        found = collect(client.monitoring.ListSilences, request, limit)
    columns: Columns = {
        "silence id": "silence_id",
        "task": lambda row: row.task or "all",
        "kind": lambda row: row.kind or "all",
        "ends (UTC)": "end_time",
        "by": "actor",
        "reason": "reason",
    }
    empty = "no silences yet" if all_of_them else "no silences; --all shows those that have ended"
    print_list(found, columns, empty, as_json)


@app.command(epilog="Example: tidemill alerts unsilence SILENCE_ID")
def unsilence(
    silence_id: Annotated[str, typer.Argument(help="The silence's id.")],
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """End a silence now."""
    request = pb.EndSilenceRequest(silence_id=silence_id)
    with connected(address) as client:
        found = client.monitoring.EndSilence(request, timeout=CALL_SECONDS)
    if as_json:
        print_json({**to_json(found.silence), "was_active": found.was_active})
        return
    _print_silence(found.silence, as_json, "ended")
    if not found.was_active:
        say("it had ended before: nothing changed")


def _print_silence(row: pb.Silence, as_json: bool, end: str = "ends") -> None:
    fields = {
        "silence id": row.silence_id,
        "task": row.task or "all",
        "kind": row.kind or "all",
        end: time_text(row.end_time) + " UTC",
        "reason": row.reason,
    }
    print_one(row, fields, as_json)


def _length(text: str) -> timedelta:
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not (number.isascii() and number.isdigit() and len(number) <= 5):
        raise WrongUsage(f"--for {text!r} is not a time such as 30m, 2h or 3d")
    length = timedelta(**{unit: int(number)})
    if not timedelta(0) < length <= _LONGEST:
        raise WrongUsage(f"--for {text!r} must be more than 0 and at most {_LONGEST.days}d")
    return length


def state_of(alert: pb.Alert) -> str:
    """Return whether an alert is open, acknowledged or resolved, and by whom and when."""
    if alert.resolve_time != Timestamp():
        return f"resolved {time_text(alert.resolve_time)}"
    if alert.acknowledge_time != Timestamp():
        return f"acknowledged by {alert.acknowledged_by}, {time_text(alert.acknowledge_time)}"
    return "open"
