"""Gauges of what the checks found: the newest reports, as metrics.

They are read from the database and not counted in a process, so that every worker answers the same.
A scrape never waits for the database: it gets what the last read found.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import structlog
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidemill_core.clock import Clock
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.errors import StorageUnavailable
from tidemill_core.storage.feedback import FeedbackStore
from tidemill_core.storage.reports import ReportStore

INTERVAL_SECONDS = 30.0
FEEDBACK_WINDOW = timedelta(hours=24)
_MS = 1000.0
GAUGES = {
    "check_verdict": ("1 for the verdict of the newest report.", ("task", "kind", "verdict")),
    "check_time_seconds": ("When the newest report was written.", ("task", "kind")),
    "accuracy": ("Accuracy by where it comes from.", ("task", "source")),
    "accuracy_low": ("Lower end of its interval.", ("task", "source")),
    "accuracy_high": ("Upper end of its interval.", ("task", "source")),
    "accuracy_baseline": ("The champion's accuracy on its hold-out.", ("task",)),
    "drift_distance": ("Distance from the champion's hold-out.", ("task", "signal")),
    "drift_p_value": ("How likely chance makes such a distance.", ("task", "signal")),
    "drifted": ("1 if the signal drifted.", ("task", "signal")),
    "checked_latency_seconds": ("Latency in the last hour.", ("task", "quantile")),
    "error_rate": ("Share of texts that failed in the last hour.", ("task",)),
    "error_budget_burn_rate": ("Error rate over the budget.", ("task", "hours")),
    "feedback_verdicts": ("Verdicts in the last 24 hours.", ("task", "verdict")),
    "feedback_report": ("Figures of the newest feedback report.", ("task", "figure")),
}
"""The meaning and labels of each gauge, by its name without the prefix `tidemill_`."""
KINDS = ("accuracy", "drift", "latency", "feedback", "rollout", "retraining")

Sample = tuple[str, tuple[str, ...], Any]
"""A gauge without the prefix, the values of its labels, and its value; None leaves it out."""

log = structlog.get_logger()


class Signals(Collector):
    """The gauges, as of the last read.

    Args:
        tasks: the tasks' names.
    """

    def __init__(self, tasks: Collection[str]) -> None:
        self._tasks = tasks
        self._families: list[Metric] = []

    def collect(self) -> Iterable[Metric]:
        """Return the gauges."""
        return self._families

    async def watch(self, reports: ReportStore, feedback: FeedbackStore, clock: Clock) -> None:
        """Read the newest reports every 30 seconds, forever."""
        while True:
            await asyncio.to_thread(self.read, reports, feedback, clock)
            await asyncio.sleep(INTERVAL_SECONDS)

    def read(self, reports: ReportStore, feedback: FeedbackStore, clock: Clock) -> None:
        """Read the newest reports; while the database is away, the last gauges stay."""
        try:
            samples = [
                *_of_reports(reports.newest(self._tasks, KINDS)),
                *_of_feedback(feedback, self._tasks, clock),
            ]
        except StorageUnavailable as error:
            log.warning("signals_not_read", detail=error.detail or str(error))
            return
        self._families = list(_families(samples))


def _families(samples: Iterable[Sample]) -> Iterator[Metric]:
    # A page with a series twice is refused as a whole.
    known = {(name, labels): value for name, labels, value in samples if value is not None}
    for name, (meaning, label_names) in GAUGES.items():
        family = GaugeMetricFamily(f"tidemill_{name}", meaning, labels=label_names)
        for (of_name, labels), value in known.items():
            if of_name == name:
                family.add_metric(labels, float(value))
        yield family


def _of_feedback(store: FeedbackStore, tasks: Collection[str], clock: Clock) -> Iterator[Sample]:
    since = clock() - FEEDBACK_WINDOW
    for task in tasks:
        for verdict, count in store.verdict_counts(task, since).items():
            yield "feedback_verdicts", (task, verdict), count


def _of_reports(reports: Iterable[Report]) -> Iterator[Sample]:
    for report in reports:
        place = (report.task, report.kind)
        for verdict in ReportVerdict:
            yield "check_verdict", (*place, str(verdict)), verdict is report.verdict
        yield "check_time_seconds", place, report.create_time.timestamp()
        yield from samples_of(report.task, report.kind, report.details)


def samples_of(task: str, kind: str, details: Mapping[str, Any]) -> Iterator[Sample]:
    """Yield the samples of a report's details; details may lack any of them."""
    if kind == "accuracy":
        yield from _accuracy(task, details)
    elif kind == "drift":
        yield from _drift(task, details)
    elif kind == "latency":
        yield from _latency(task, details)
    elif kind == "feedback":
        for name, value in details.items():
            if isinstance(value, int | float):
                yield "feedback_report", (task, name), value


def _accuracy(task: str, details: Mapping[str, Any]) -> Iterator[Sample]:
    ends = {"low": details.get("accuracy_low"), "high": details.get("accuracy_high")}
    overall = {"source": "overall", "accuracy": details.get("accuracy"), **ends}
    for each in (overall, *details.get("estimates", ())):
        place = (task, str(each.get("source", "")))
        yield "accuracy", place, each.get("accuracy")
        yield "accuracy_low", place, each.get("low")
        yield "accuracy_high", place, each.get("high")
    yield "accuracy_baseline", (task,), details.get("baseline_accuracy")


def _drift(task: str, details: Mapping[str, Any]) -> Iterator[Sample]:
    for each in details.get("signals", ()):
        place = (task, str(each.get("signal", "")))
        yield "drift_distance", place, each.get("distance")
        yield "drift_p_value", place, each.get("p_value")
        yield "drifted", place, each.get("drifted")


def _latency(task: str, details: Mapping[str, Any]) -> Iterator[Sample]:
    for percent in (50, 95, 99):
        latency = details.get(f"p{percent}_latency_ms")
        seconds = None if latency is None else latency / _MS
        yield "checked_latency_seconds", (task, f"{percent / 100:g}"), seconds
    yield "error_rate", (task,), details.get("error_rate")
    for burn in details.get("burn_rates", ()):
        for length in ("long", "short"):
            place = (task, f"{burn.get(f'{length}_hours', 0):.3g}")
            yield "error_budget_burn_rate", place, burn.get(f"{length}_burn_rate")
