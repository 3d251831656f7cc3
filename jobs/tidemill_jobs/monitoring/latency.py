"""The job `check_latency`: the champion's latency and errors, against their limits and their past.

Latencies are those of the stored predictions. Failures are not stored, so the front's workers count
them in the database (`outcome_counts`). Triton's own figures come from its metrics endpoint; the
counters of the last report are in its details.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from tidemill_core.counted import counted
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.settings import MonitoringSettings
from tidemill_core.storage.database import MAX_PAGE_SIZE, Page
from tidemill_core.storage.predictions import PredictionWindow
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.error_budget import KEPT, Burn, burns
from tidemill_jobs.monitoring.reporting import (
    NO_CHAMPION,
    CheckFinding,
    ReportSubject,
    champion_manifest,
    report,
)
from tidemill_jobs.monitoring.triton_metrics import Counters, pages, read_counters, since

KIND = "latency"
METHODS = ("Predict", "StreamPredict")
"""The methods with a latency of their own per prediction; the rows of a batch share one."""
LOOK_BACK = timedelta(hours=1)
"""The time that the check covers: short, so a slow hour shows and soon passes."""
PAST = timedelta(days=7)
"""The past that the percentiles are compared with."""
PERCENTS = (50, 95, 99)
_COUNTERS = "triton_counters"


def run(context: JobContext) -> Result:
    """Compare the last hour's latency and errors with their limits, and write a report.

    Raises:
        DataError: the champion's manifest is missing or damaged.
        StorageUnavailable: the database does not answer.
    """
    storage, now = context.storage, context.clock()
    manifest = champion_manifest(storage.models, context.repository, context.task)
    if manifest is None:
        return NO_CHAMPION
    task, version, monitoring = context.task, manifest.version, context.settings.monitoring
    window = PredictionWindow(task, version, now - LOOK_BACK)
    count, latencies_ms = storage.predictions.latency_percentiles(window, METHODS, PERCENTS)
    past, _ = storage.reports.page(task, KIND, Page(MAX_PAGE_SIZE))
    counts = storage.outcome_counts
    found = burns(lambda start, end: counts.sums(task, start, end), monitoring.max_error_rate, now)
    model = f"{task}-{manifest.model_format}"
    urls = pages(context.settings.triton_address, context.settings.triton_metrics_url)
    counters = read_counters(urls, model, version)
    details = {
        **_percentiles(count, latencies_ms, monitoring),
        **_usual(past, now),
        **_errors(found, monitoring.max_error_rate),
        **_triton(counters, past, version),
    }
    counts.prune(task, now - KEPT)
    subject = ReportSubject(task, KIND, version, context.run_id, now)
    return report(storage, context.settings.alerts, subject, _judge(details, found))


def _percentiles(
    count: int, latencies_ms: Sequence[float], settings: MonitoringSettings
) -> Mapping[str, Any]:
    counts = {"prediction_count": count, "min_prediction_count": settings.min_predictions}
    if count < settings.min_predictions:
        return counts
    named = zip(PERCENTS, latencies_ms, strict=True)
    figures = {f"p{percent}_latency_ms": latency for percent, latency in named}
    return {**counts, **figures, "max_p99_latency_ms": settings.max_p99_latency_ms}


def _usual(past: Sequence[Report], now: datetime) -> Mapping[str, float]:
    """Return the medians of the percentiles in the past, of any version; empty without a past."""
    recent = [each.details for each in past if each.create_time >= now - PAST]
    usual = {}
    for name in (f"p{percent}_latency_ms" for percent in PERCENTS):
        if known := [details[name] for details in recent if name in details]:
            usual[f"usual_{name}"] = float(median(known))
    return usual


def _errors(found: Sequence[Burn], budget: float) -> Mapping[str, Any]:
    last_hour = found[0]
    rate = last_hour.failed_count / last_hour.total_count if last_hour.total_count else 0.0
    return {
        "error_rate": rate,
        "max_error_rate": budget,
        "burn_rates": [burn.details() for burn in found],
    }


def _triton(
    counters: Mapping[str, Counters], past: Sequence[Report], version: int
) -> Mapping[str, Any]:
    """Return Triton's figures since the last report on the version, and its counters now."""
    if not counters:
        return {}
    same = past[0].details if past and past[0].model_version == version else {}
    return {**since(same.get(_COUNTERS, {}), counters), _COUNTERS: counters}


def _judge(details: Mapping[str, Any], found: Sequence[Burn]) -> CheckFinding:
    burning = [burn for burn in found if burn.alerts]
    p99 = details.get("p99_latency_ms")
    failures = (
        f"; {burn.failed_count:,} of {counted(burn.total_count, 'text')} failed in "
        f"{burn.long_hours:g} h, {burn.long_burn_rate:.1f} times the error budget"
        for burn in burning
    )
    summary = "".join((_latency_summary(details, p99), *failures))
    if burning or (p99 is not None and p99 > details["max_p99_latency_ms"]):
        return CheckFinding(ReportVerdict.ALERT, summary, details)
    verdict = ReportVerdict.INSUFFICIENT if p99 is None else ReportVerdict.OK
    return CheckFinding(verdict, summary, details)


def _latency_summary(details: Mapping[str, Any], p99: float | None) -> str:
    count = details["prediction_count"]
    if p99 is None:
        return f"too few predictions: {count} of at least {details['min_prediction_count']}"
    usual = details.get("usual_p99_latency_ms")
    limit = f"limit {details['max_p99_latency_ms']:g} ms"
    past = "" if usual is None else f", usually {usual:.1f} ms"
    return f"p99 latency {p99:.1f} ms over {counted(count, 'prediction')}; {limit}{past}"
