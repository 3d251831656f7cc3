"""Loop: the state of each task at a glance, and what the system does now."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from tidemill.v1 import dataset_service_pb2, job_service_pb2, model_service_pb2
from tidemill.v1 import monitoring_service_pb2 as monitoring_pb
from tidemill_server.console import questions
from tidemill_server.console.formats import plain, word
from tidemill_server.console.live import Parts, live
from tidemill_server.console.routes import get
from tidemill_server.console.visit import Visit

_TREND = 20
"""Reports in the small plot of accuracy."""
_RUNS = 100
"""Newest runs among which the active ones are looked for; short ones come each minute."""
_CHECKS = 10
"""Newest checks of the feedback among which one that ended is looked for."""
_ACTIVE = ("queued", "running")
_VERSIONS = 20
"""Newest versions among which one that waits for an approval is looked for."""
_FAILED = {"failed": "Its training failed.", "canceled": "Its training was canceled."}
_SOURCES = {
    "combined": "from audits and feedback",
    "audits": "from audits",
    "feedback": "from users' feedback, which is biased",
    "confidence": "from the model's confidence",
}
_REASONS = {
    "schedule": "it was time",
    "catch_up": "a missed night",
    "check_feedback": "enough new feedback",
    "first_model": "the first model",
    "rpc": "someone asked",
}


@dataclass(frozen=True)
class TaskLoop:
    """One task's state.

    Attributes:
        task: the task.
        champion: the version that answers; None before the first.
        newest: the newest versions, newest first.
        deployment: who answers whom; None before the first.
        accuracy: the newest accuracy report's details; empty without one.
        accuracy_report: the report.
        trend: the accuracy of the last reports, oldest first.
        drift: the newest report.
        latency: the newest report.
        dataset: the last built version.
        retraining: the last run of it.
        progress: the last count of new examples, and how many start a retraining.
        active: the runs that wait or run.
        alerts: the unresolved ones.
    """

    task: str
    champion: model_service_pb2.ModelVersion | None
    newest: list[model_service_pb2.ModelVersion]
    deployment: model_service_pb2.Deployment | None
    accuracy: dict[str, Any]
    accuracy_report: monitoring_pb.Report | None
    trend: list[float]
    drift: monitoring_pb.Report | None
    latency: monitoring_pb.Report | None
    dataset: dataset_service_pb2.DatasetVersion | None
    retraining: job_service_pb2.JobRun | None
    progress: dict[str, int]
    active: list[job_service_pb2.JobRun]
    alerts: list[monitoring_pb.Alert]

    @property
    def accuracy_source(self) -> str:
        """Where the accuracy comes from."""
        source = self.accuracy.get("method", "feedback")
        return _SOURCES.get(source, str(source))

    @property
    def awaiting(self) -> int:
        """The newest version that waits for an approval; 0 if none is newer than the champion."""
        champion = self.champion.model_version if self.champion else 0
        waiting = (v for v in self.newest if word(v, "state") == "awaiting approval")
        number = next((version.model_version for version in waiting), 0)
        return number if number > champion else 0

    @property
    def why_no_champion(self) -> str:
        """Why a task has no champion."""
        state = "" if self.retraining is None else word(self.retraining, "state")
        if state in _FAILED:
            return _FAILED[state]
        if state not in _ACTIVE and self.newest and word(self.newest[0], "state") == "rejected":
            return f"Version {self.newest[0].model_version} was rejected."
        return "The first version is on its way."

    @property
    def latency_details(self) -> dict[str, Any]:
        """The figures of the newest latency report."""
        return plain(self.latency.details) if self.latency else {}

    @property
    def reason(self) -> str:
        """Why the last retraining ran."""
        if self.retraining is None:
            return ""
        trigger = self.retraining.trigger
        return self.retraining.reason or _REASONS.get(trigger, trigger)


async def show(visit: Visit) -> Response:
    """Show all tasks, or the first page that the caller may open."""
    if not visit.may("admin"):
        places = visit.places
        return visit.go(places[0].path) if places else visit.show("nothing.html")
    return visit.show("loop.html", states=await _states(visit))


async def _parts(visit: Visit) -> Parts:
    states = await _states(visit)
    return Parts({f"loop-{each.task}": visit.html("_loop.html", state=each) for each in states})


async def _states(visit: Visit) -> list[TaskLoop]:
    return await asyncio.gather(*(_loop(visit, task) for task in visit.tasks))


async def _loop(visit: Visit, task: str) -> TaskLoop:
    accuracy = await questions.reports(visit, task, "accuracy", _TREND)
    drift = await questions.reports(visit, task, "drift", 1)
    latency = await questions.reports(visit, task, "latency", 1)
    retrainings = await questions.runs(visit, task, "retrain", 1)
    checks = await questions.runs(visit, task, "check_feedback", _CHECKS)
    runs = await questions.runs(visit, task, "", _RUNS)
    measured = [plain(each.details) for each in accuracy]
    settings = visit.console.settings
    return TaskLoop(
        task=task,
        champion=await questions.champion(visit, task),
        newest=await questions.versions(visit, task, _VERSIONS),
        deployment=await questions.deployment(visit, task),
        accuracy=measured[0] if measured else {},
        accuracy_report=accuracy[0] if accuracy else None,
        trend=[each["accuracy"] for each in reversed(measured) if each.get("accuracy") is not None],
        drift=drift[0] if drift else None,
        latency=latency[0] if latency else None,
        dataset=await questions.dataset(visit, task),
        retraining=retrainings[0] if retrainings else None,
        progress=_progress(checks, settings.feedback.retrain_after),
        active=_active([*retrainings, *runs]),
        alerts=await questions.open_alerts(visit, task),
    )


def _active(runs: Iterable[job_service_pb2.JobRun]) -> list[job_service_pb2.JobRun]:
    """Return the runs that wait or run, each once; those that run first."""
    by_id = {run.run_id: run for run in runs if word(run, "state") in _ACTIVE}
    return sorted(by_id.values(), key=lambda run: word(run, "state") != "running")


def _progress(checks: Iterable[job_service_pb2.JobRun], retrain_after: int) -> dict[str, int]:
    """Return the new examples that the newest check counted, and how many start a retraining.

    A check that waits, runs or failed has not counted.
    """
    counted = (plain(run.result) for run in checks if word(run, "state") == "succeeded")
    result = next(counted, {})
    return {
        "new": int(result.get("new_examples", 0)),
        "wanted": int(result.get("retrain_after", retrain_after)),
    }


ROUTES = (get("/", show), live("/loop", _parts, every_seconds=2.0))
