"""The outcome of a replay, as JSON values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from tidemill.v1 import model_service_pb2 as model_pb
from tidemill.v1 import monitoring_service_pb2 as monitoring_pb
from tidemill_cli.listing import collect
from tidemill_cli.messages import to_json
from tidemill_cli.replaying.days import Answer, Replay
from tidemill_core.domain.interval import Z

_MOST = 10_000
_DAYS, _WEEKS = 45, 400
"""A replay of up to so many days is shown by day, or by week; a longer one by month."""


@dataclass(frozen=True)
class Judged:
    """An answer, and whether the first version would have been right."""

    answer: Answer
    frozen_is_right: bool


@dataclass(frozen=True)
class Period:
    """A part of the replay.

    Attributes:
        start: its first day.
        rows: how many rows it has.
        accuracy: the share of right answers.
        frozen_accuracy: the share that the first version would have got right.
    """

    start: date
    rows: int
    accuracy: float
    frozen_accuracy: float


@dataclass(frozen=True)
class Gain:
    """The difference of the accuracies on the same rows, with its 95 % interval."""

    points: float
    low: float
    high: float


def periods(judged: Sequence[Judged]) -> list[Period]:
    """Return the accuracy over time: by day, week or month, as the replay is long."""
    first, last = judged[0].answer.row.time.date(), judged[-1].answer.row.time.date()
    length = (last - first).days + 1

    def start(each: Judged) -> date:
        day = each.answer.row.time.date()
        if length <= _DAYS:
            return day
        if length <= _WEEKS:
            return day - timedelta(days=(day - first).days % 7)
        return day.replace(day=1)

    return [_period(day, list(some)) for day, some in groupby(judged, start)]


def _period(start: date, judged: Sequence[Judged]) -> Period:
    return Period(start, len(judged), accuracy(judged), frozen_accuracy(judged))


def accuracy(judged: Sequence[Judged]) -> float:
    """Return the share of right answers."""
    return sum(each.answer.is_right for each in judged) / len(judged)


def frozen_accuracy(judged: Sequence[Judged]) -> float:
    """Return the share of rows that the first version would have got right."""
    return sum(each.frozen_is_right for each in judged) / len(judged)


def gain(judged: Sequence[Judged]) -> Gain:
    """Return the difference of two paired shares, with the normal approximation's interval."""
    won = sum(each.answer.is_right and not each.frozen_is_right for each in judged)
    lost = sum(each.frozen_is_right and not each.answer.is_right for each in judged)
    count = len(judged)
    difference = (won - lost) / count
    error = math.sqrt(max((won + lost) / count - difference**2, 0.0) / count)
    return Gain(difference, difference - Z * error, difference + Z * error)


def outcome_of(replay: Replay, judged: Sequence[Judged]) -> dict[str, Any]:
    """Return what happened in a replay, as the stack and the rows show it."""
    answered = {
        version: list(some)
        for version, some in groupby(sorted(judged, key=_version_of), _version_of)
    }
    return {
        "rows": len(judged),
        "unanswered": len(answered.get(0, ())),
        "accuracy": accuracy(judged),
        "frozen_accuracy": frozen_accuracy(judged),
        "gain": asdict(gain(judged)),
        "periods": [{**asdict(each), "start": str(each.start)} for each in periods(judged)],
        "versions": [
            {**version, **_use(answered.get(version["model_version"], ()))}
            for version in _versions(replay)
        ],
        "alerts": _alerts(replay),
        "accuracy_reports": _accuracy_reports(replay, judged),
        "drift_reports": _drift_reports(replay),
        "feedback": dict(replay.users.given),
        "labels": dict(replay.annotators.given),
    }


def _version_of(judged: Judged) -> int:
    return judged.answer.model_version


def _use(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return what a version did in traffic."""
    if not judged:
        return {"rows": 0, "accuracy": None, "frozen_accuracy": None}
    found = (accuracy(judged), frozen_accuracy(judged))
    return {"rows": len(judged), "accuracy": found[0], "frozen_accuracy": found[1]}


def _versions(replay: Replay) -> list[dict[str, Any]]:
    """Return the versions, oldest first."""
    request = model_pb.ListModelVersionsRequest(task=replay.task)
    versions = collect(replay.stack.client.models.ListModelVersions, request, _MOST)
    return [
        {
            "model_version": each.model_version,
            "create_time": each.create_time.ToJsonString(),
            "trained_because": each.trained_because,
            "state": to_json(each)["state"],
            "reason": each.reason,
            "hold_out_accuracy": each.measures.get("accuracy"),
        }
        for each in reversed(versions)
    ]


def _alerts(replay: Replay) -> list[dict[str, Any]]:
    request = monitoring_pb.ListAlertsRequest(task=replay.task)
    found = collect(replay.stack.client.monitoring.ListAlerts, request, _MOST)
    return [
        {
            "kind": each.kind,
            "create_time": each.create_time.ToJsonString(),
            "resolve_time": each.resolve_time.ToJsonString()
            if each.HasField("resolve_time")
            else None,
            "message": each.message,
        }
        for each in reversed(found)
    ]


def _accuracy_reports(replay: Replay, judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return what each accuracy check estimated, and the truth in its window."""
    request = monitoring_pb.ListReportsRequest(task=replay.task, kind="accuracy")
    found = collect(replay.stack.client.monitoring.ListReports, request, _MOST)
    window = timedelta(hours=replay.stack.settings.monitoring.window_hours)
    return [
        {
            "create_time": each.create_time.ToJsonString(),
            "verdict": to_json(each)["verdict"],
            **_estimate(to_json(each)["details"]),
            "true_accuracy": _truth(judged, each.create_time.ToDatetime(tzinfo=UTC), window),
        }
        for each in reversed(found)
    ]


def _drift_reports(replay: Replay) -> list[dict[str, Any]]:
    """Return what each drift check found, and the signals that drifted."""
    request = monitoring_pb.ListReportsRequest(task=replay.task, kind="drift")
    found = collect(replay.stack.client.monitoring.ListReports, request, _MOST)
    return [
        {
            "create_time": each.create_time.ToJsonString(),
            "verdict": to_json(each)["verdict"],
            "drifted": _drifted(to_json(each)["details"]),
        }
        for each in reversed(found)
    ]


def _drifted(details: Mapping[str, Any]) -> list[str]:
    return [each["signal"] for each in details.get("signals", ()) if each.get("drifted")]


def _estimate(details: Mapping[str, Any]) -> dict[str, Any]:
    names = ("accuracy", "accuracy_low", "accuracy_high", "method")
    return {name: details.get(name) for name in names}


def _truth(judged: Sequence[Judged], end: datetime, window: timedelta) -> float | None:
    within = [each for each in judged if end - window <= each.answer.row.time < end]
    return accuracy(within) if within else None
