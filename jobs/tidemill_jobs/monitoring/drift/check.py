"""The job `check_drift`: compares the champion's predictions with those on its hold-out."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np

from tidemill_core.counted import counted
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.model_repository import ModelManifest
from tidemill_core.storage.database import Page
from tidemill_core.storage.predictions import PredictionWindow
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.drift.cost import accuracy_cost
from tidemill_jobs.monitoring.drift.shift import Shift, drifted, measure_shift
from tidemill_jobs.monitoring.drift.signals import Samples, counted_signals, described
from tidemill_jobs.monitoring.drift.texts import read_texts
from tidemill_jobs.monitoring.reporting import (
    NO_CHAMPION,
    CheckFinding,
    ReportSubject,
    champion_manifest,
    report,
)

KIND = "drift"
FALSE_ALARMS_A_NIGHT = 0.04
"""The probability of any alarm in a night without drift, over all signals and tasks."""


def run(context: JobContext) -> Result:
    """Compare the window's predictions with the champion's reference, and write a report.

    Shadow predictions do not count. The same predictions always get the same verdict.

    Raises:
        DataError: the champion's manifest is missing or damaged, or does not fit its predictions.
        StorageUnavailable: the database does not answer.
    """
    storage, now = context.storage, context.clock()
    manifest = champion_manifest(storage.models, context.repository, context.task)
    if manifest is None:
        return NO_CHAMPION
    finding = _find(context, manifest)
    subject = ReportSubject(context.task, KIND, manifest.version, context.run_id, now)
    return report(storage, context.settings.alerts, subject, finding)


def _find(context: JobContext, manifest: ModelManifest) -> CheckFinding:
    storage, monitoring = context.storage, context.settings.monitoring
    since = context.clock() - timedelta(hours=monitoring.window_hours)
    window = PredictionWindow(context.task, manifest.version, since)
    counts = storage.prediction_counts.of_window(window.task, window.model_version, since)
    find = partial(storage.prediction_samples.examples, window)
    signals = counted_signals(manifest, counts, monitoring.min_predictions, find)
    labels, confidences = signals[:2]
    count = int(labels.window.sum())
    details: dict[str, Any] = {
        "prediction_count": count,
        "min_prediction_count": monitoring.min_predictions,
        "reference_count": int(labels.reference.sum()),
    }
    if labels.note:
        return CheckFinding(ReportVerdict.INSUFFICIENT, labels.note, details)
    context.progress(0.2, f"reading texts of {counted(count, 'prediction')}")
    texts = read_texts(context, manifest, window, count)
    context.progress(0.7, "comparing the predictions with the reference")
    level = FALSE_ALARMS_A_NIGHT / len(context.settings.tasks)
    judged = judge([*signals, texts.samples], f"{manifest.task}\0{manifest.version}", level)
    newest, _ = storage.reports.page(context.task, "accuracy", Page(size=1))
    cost = accuracy_cost(newest, manifest, since, confidences)
    topics = {"new_topics": list(texts.topics)}
    return CheckFinding(
        judged.verdict, judged.summary, {**details, **judged.details, **topics, **cost}
    )


def judge(signals: Sequence[Samples], subject: str, level: float) -> CheckFinding:
    """Judge all signals of a task together.

    Args:
        signals: their samples; those with a note are reported and not judged.
        subject: names what is judged; seeds the random numbers, together with the samples.
        level: the probability of any alarm without drift.
    """
    judged = [each for each in signals if not each.note]
    shifts: list[Shift] = []
    for each in judged:
        random = np.random.default_rng(_seed(subject, each))
        shifts.append(measure_shift(each.reference, each.window, random, level / len(judged)))
    verdicts = drifted([shift.p_value for shift in shifts], level)
    found = {id(each): pair for each, *pair in zip(judged, shifts, verdicts, strict=True)}
    details = [described(each, *found.get(id(each), (None, False))) for each in signals]
    verdict = ReportVerdict.ALERT if any(verdicts) else ReportVerdict.OK
    return CheckFinding(
        verdict, _summary(details), {"signals": details, "false_alarm_level": level}
    )


def _seed(subject: str, samples: Samples) -> int:
    """Return a seed that is the same for the same predictions."""
    hashed = hashlib.sha256(f"{subject}\0{samples.signal}".encode())
    hashed.update(samples.reference.tobytes() + samples.window.tobytes())
    return int.from_bytes(hashed.digest()[:8])


def _summary(details: Sequence[dict[str, Any]]) -> str:
    moved = [
        f"{_name(each)} drifted: distance {each['distance']:.3f} (p {each['p_value']:.2g}), "
        f"most in {_most_moved(each)}"
        for each in details
        if each["drifted"]
    ]
    still = [_name(each) for each in details if each["p_value"] is not None and not each["drifted"]]
    unknown = [_name(each) for each in details if each["p_value"] is None]
    parts = [*moved, f"no drift in {', '.join(still)}" if still else ""]
    parts.append(f"not measured: {', '.join(unknown)}" if unknown else "")
    return "; ".join(filter(None, parts))


def _name(details: dict[str, Any]) -> str:
    return str(details["signal"]).replace("_", " ")


def _most_moved(details: dict[str, Any]) -> str:
    sides = (details["bins"], details["reference_shares"], details["window_shares"])
    name, before, now = max(zip(*sides, strict=True), key=lambda each: abs(each[2] - each[1]))
    return f"{name!r} ({before:.1%} before, {now:.1%} now)"
