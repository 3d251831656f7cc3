"""How good a task is today, what changed and since when, and what is being done about it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Any

from tidemill.v1 import job_service_pb2, model_service_pb2, monitoring_service_pb2
from tidemill_cli.alerts import state_of
from tidemill_cli.listing import collect
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.output import sparkline
from tidemill_cli.section import Section
from tidemill_client import TidemillClient

KINDS = ("accuracy", "drift", "latency", "feedback")
_HISTORY = 300
_TREND = 30
_CHANGES = 15
_UNDER_WAY = ("QUEUED", "RUNNING")

History = Sequence[monitoring_service_pb2.Report]
"""A task's reports of one kind, newest first."""


@dataclass(frozen=True)
class Overview:
    """A task as its newest reports show it.

    Attributes:
        task: the task.
        histories: its reports by kind, of those kinds that have any.
        deployments: the last changes of its traffic, newest first.
        alerts: its unresolved alerts.
        retraining: its last retraining that ended; None if there is none.
        under_way: its runs that wait or work.
    """

    task: str
    histories: Mapping[str, History]
    deployments: Sequence[model_service_pb2.Deployment]
    alerts: Sequence[monitoring_service_pb2.Alert]
    retraining: job_service_pb2.JobRun | None
    under_way: Sequence[job_service_pb2.JobRun]


def overview_of(client: TidemillClient, task: str) -> Overview:
    """Return a task's overview.

    Raises:
        TidemillError: the server cannot be reached, or the caller may not see the task.
    """
    listed = client.monitoring.ListReports
    histories = {
        kind: collect(
            listed, monitoring_service_pb2.ListReportsRequest(task=task, kind=kind), _HISTORY
        )
        for kind in KINDS
    }
    changes = model_service_pb2.ListDeploymentsRequest(task=task)
    alerts = monitoring_service_pb2.ListAlertsRequest(task=task, unresolved_only=True)
    runs_of = client.jobs.ListJobRuns
    runs = collect(runs_of, job_service_pb2.ListJobRunsRequest(task=task), _HISTORY)
    retrainings = job_service_pb2.ListJobRunsRequest(task=task, job="retrain")
    ended = [each for each in collect(runs_of, retrainings, _TREND) if not _is_under_way(each)]
    return Overview(
        task,
        {kind: history for kind, history in histories.items() if history},
        collect(client.models.ListDeployments, changes, _CHANGES),
        collect(client.monitoring.ListAlerts, alerts, _HISTORY),
        ended[0] if ended else None,
        [each for each in runs if _is_under_way(each)],
    )


def overview_json(overview: Overview) -> dict[str, Any]:
    """Return an overview as plain values."""
    newest = [
        {**to_json(history[0]), "verdict_since": since(history).ToJsonString()}
        for history in overview.histories.values()
    ]
    last = overview.retraining
    return {
        "task": overview.task,
        "reports": newest,
        "changes": [{"time": at, "what": what} for at, what in _changes(overview)],
        "alerts": list(map(to_json, overview.alerts)),
        "last_retraining": None if last is None else to_json(last),
        "under_way": list(map(to_json, overview.under_way)),
    }


def overview_sections(overview: Overview) -> Iterator[Section]:
    """Yield the tables of an overview."""
    rows = [_today(kind, history) for kind, history in overview.histories.items()]
    columns: Sequence[str] = ("", "verdict", "since (UTC)", "version", "finding", "trend")
    yield Section("How good it is today", columns, rows)
    yield Section("What changed", ("time (UTC)", "what"), _changes(overview))
    columns = ("alert", "severity", "raised (UTC)", "state", "what to do")
    yield Section("Open alerts", columns, [_alert(each) for each in overview.alerts])
    yield Section("What is being done", ("job", "state", "because", "what"), list(_work(overview)))


def since(history: History) -> Any:
    """Return when the newest verdict was first reached without a break."""
    newest = history[0].verdict
    return list(takewhile(lambda each: each.verdict == newest, history))[-1].create_time


def figures(history: History) -> list[tuple[monitoring_service_pb2.Report, float]]:
    """Return the reports that have the main figure of their kind, and the figure, oldest first."""
    found = ((each, main_figure(each.kind, to_json(each)["details"] or {})) for each in history)
    return [(each, figure) for each, figure in found if figure is not None][::-1]


def main_figure(kind: str, details: Mapping[str, Any]) -> float | None:
    """Return the figure that stands for a report; None if it has none."""
    if kind == "drift":
        signals = details.get("signals", ())
        known = [each["distance"] for each in signals if each.get("distance") is not None]
        return max(known, default=None)
    name = {"accuracy": "accuracy", "latency": "p99_latency_ms"}.get(kind, "")
    return details.get(name)


def _today(kind: str, history: History) -> tuple[Any, ...]:
    newest = history[0]
    trend = sparkline([figure for _, figure in figures(history)[-_TREND:]])
    verdict = (enum_name(newest, "verdict"), time_text(since(history)))
    return (kind, *verdict, newest.model_version or "", newest.summary, trend)


def _changes(overview: Overview) -> list[tuple[str, str]]:
    """Return the last changes of verdicts and of the traffic, newest first."""
    found = []
    for kind, history in overview.histories.items():
        for now, before in pairwise(history):
            if now.verdict != before.verdict:
                verdicts = f"{enum_name(before, 'verdict')} → {enum_name(now, 'verdict')}"
                found.append((time_text(now.create_time), f"{kind}: {verdicts}: {now.summary}"))
    for change in overview.deployments:
        what = f"version {change.champion} answers, by {change.actor}"
        if change.canaries:
            what += f"; canaries: {', '.join(str(each.model_version) for each in change.canaries)}"
        comment = f": {change.comment}" if change.comment else ""
        found.append((time_text(change.create_time), what + comment))
    return sorted(found, reverse=True)[:_CHANGES]


def _alert(alert: monitoring_service_pb2.Alert) -> tuple[str, ...]:
    severity, raised = enum_name(alert, "severity"), time_text(alert.create_time)
    return alert.kind, severity, raised, state_of(alert), alert.advice


def _work(overview: Overview) -> Iterator[tuple[str, str, str, str]]:
    for run in overview.under_way:
        yield run.job, *_why(run), f"{run.progress:.0%} {run.message}"
    if (last := overview.retraining) is not None:
        yield "last retraining", *_why(last), f"{time_text(last.end_time)} UTC: {_outcome(last)}"


def _why(run: job_service_pb2.JobRun) -> tuple[str, str]:
    """Return a run's state, and why it was started."""
    return enum_name(run, "state"), run.reason or run.trigger


def _outcome(run: job_service_pb2.JobRun) -> str:
    """Return the outcome of a retraining, without the part that may quote a text."""
    result = to_json(run)["result"] or {}
    words = (f"version {result.get('model_version', '')}", result.get("state", ""))
    reason = run.error or str(result.get("reason", ""))
    return ", ".join(filter(None, (*(words if result else ()), reason.partition(":")[0])))


def _is_under_way(run: job_service_pb2.JobRun) -> bool:
    return enum_name(run, "state") in _UNDER_WAY
