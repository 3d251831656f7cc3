"""The finding of `check_accuracy`: the estimates, what they are compared with, and the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tidemill_core.counted import counted
from tidemill_core.domain.interval import CONFIDENCE_LEVEL
from tidemill_core.domain.labeling import LabelItemState
from tidemill_core.domain.report import ReportVerdict
from tidemill_jobs.monitoring.accuracy.baselines import Baselines, earlier_parts
from tidemill_jobs.monitoring.accuracy.estimate import Estimate
from tidemill_jobs.monitoring.accuracy.evidence import AccuracyEvidence
from tidemill_jobs.monitoring.accuracy.feedback import feedback_estimate
from tidemill_jobs.monitoring.accuracy.guesses import (
    audits_of,
    confidence_estimate,
    guesses_of,
)
from tidemill_jobs.monitoring.accuracy.judging import AccuracyLimits, more_audits_needed, verdict_on
from tidemill_jobs.monitoring.accuracy.parts import by_class, by_slice, compare
from tidemill_jobs.monitoring.accuracy.prediction_powered import audit_estimate, combined_estimate
from tidemill_jobs.monitoring.reporting import CheckFinding

_NAMED = 5
_DECIDING = ("combined", "audits")


def find(
    evidence: AccuracyEvidence, limits: AccuracyLimits, baselines: Baselines, log_sample: float
) -> CheckFinding:
    """Return the finding on a version.

    Args:
        evidence: what is known about it.
        limits: what the deciding estimate is compared with.
        baselines: what its parts are compared with.
        log_sample: the share of the task's predictions that are stored.
    """
    estimates = _estimates(evidence, baselines.hold_out_rows)
    deciding = next((each for each in estimates if each.source in _DECIDING), None)
    parts = _parts(evidence, baselines, limits.max_drop)
    rows = [row for of_kind in parts.values() for row in of_kind]
    fallen = [row.get("label") or row["slice"] for row in rows if row["fell"]]
    verdict = verdict_on(deciding, limits, part_fell=bool(fallen))
    details = {
        **_decided(deciding, limits),
        "estimates": [asdict(each) for each in estimates],
        **parts,
        "versions": _versions(evidence, baselines),
        "windows": _windows(evidence),
        "more_audits_needed": more_audits_needed(deciding, limits),
        **_counts(evidence),
        "left_out": _left_out(evidence.unstored, log_sample),
    }
    missing = _missing(details) if verdict is ReportVerdict.INSUFFICIENT else ""
    said = (_said(deciding, limits, evidence), _fell(fallen), missing, details["left_out"])
    return CheckFinding(verdict, "; ".join(filter(None, said)), details)


def _estimates(evidence: AccuracyEvidence, hold_out_rows: int) -> list[Estimate]:
    """Return what each source shows, the one that decides first; empty without predictions."""
    audited, sample = evidence.audited, evidence.sample
    found: list[Estimate | None] = []
    if audited:
        audits = audits_of(audited)
        # Rows of a release that kept no keys cannot be sampled: then audits decide alone.
        found = [combined_estimate(audits, guesses_of(sample))] if sample else []
        found.append(audit_estimate(audits))
    found.append(feedback_estimate(evidence.counts, evidence.judged, audited))
    if sample:
        found.append(confidence_estimate(sample, evidence.prediction_count, hold_out_rows))
    return [each for each in found if each is not None]


def _parts(
    evidence: AccuracyEvidence, baselines: Baselines, max_drop: float
) -> dict[str, list[dict[str, Any]]]:
    audited, earlier = evidence.audited, earlier_parts(by_slice(evidence.earlier))
    slices = {name: part for name, part in by_slice(audited).items() if len(part) < len(audited)}
    return {
        "classes": compare("label", by_class(audited), baselines.classes, max_drop),
        "slices": compare("slice", slices, earlier, max_drop),
    }


def _versions(evidence: AccuracyEvidence, baselines: Baselines) -> list[dict[str, Any]]:
    """Return what audits say about each version that answered in the deciding windows."""
    return [
        {
            "model_version": version,
            **_plain(audit_estimate(audits_of(members))),
            "baseline": baselines.versions.get(version),
        }
        for version, members in sorted(evidence.by_version().items())
    ]


def _windows(evidence: AccuracyEvidence) -> list[dict[str, Any]]:
    """Return each window again with the labels that came since, the newest first."""
    return [
        {
            "since": window.since.isoformat(),
            "until": window.until.isoformat(),
            **_plain(audit_estimate(audits_of(members))),
        }
        for window in evidence.windows
        if (members := evidence.audited_in(window))
    ]


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {
        "accuracy": estimate.accuracy,
        "low": estimate.low,
        "high": estimate.high,
        "row_count": estimate.row_count,
    }


def _decided(deciding: Estimate | None, limits: AccuracyLimits) -> dict[str, Any]:
    compared = {
        "interval_confidence": CONFIDENCE_LEVEL,
        "baseline_accuracy": limits.baseline,
        "max_accuracy_drop": limits.max_drop,
        "min_verdict_count": limits.fewest,
    }
    if deciding is None:
        return {"method": "none", **compared}
    return {
        "accuracy": deciding.accuracy,
        "accuracy_low": deciding.low,
        "accuracy_high": deciding.high,
        "method": deciding.source,
        **compared,
    }


def _counts(evidence: AccuracyEvidence) -> dict[str, Any]:
    return {
        "since": evidence.span.since.isoformat(),
        "until": evidence.span.until.isoformat(),
        "prediction_count": evidence.prediction_count,
        "audit_count": len(evidence.audited),
        "waiting_audit_count": evidence.undecided.get(LabelItemState.OPEN, 0),
        "unresolved_audit_count": evidence.undecided.get(LabelItemState.UNRESOLVED, 0),
        "verdict_count": evidence.verdict_count,
        "verdict_count_without_prediction": evidence.unstored,
    }


def _said(deciding: Estimate | None, limits: AccuracyLimits, evidence: AccuracyEvidence) -> str:
    if deciding is None:
        verdicts = evidence.verdict_count
        alone = f"; verdicts of users alone are biased (there are {verdicts:,})" if verdicts else ""
        return f"no audited prediction has a label yet{alone}"
    found = (
        f"accuracy {deciding.accuracy:.3f} by {counted(deciding.row_count, 'audit')} and all "
        f"verdicts ({deciding.low:.3f} to {deciding.high:.3f})"
    )
    if limits.baseline is None:
        return f"{found}; the version has no accuracy on a hold-out to compare with"
    return f"{found}; baseline {limits.baseline:.3f}, limit {limits.lowest:.3f}"


def _fell(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    return f"fell most: {', '.join(parts[:_NAMED])}{more}" if parts else ""


def _missing(details: Mapping[str, Any]) -> str:
    needed, waiting = details["more_audits_needed"], details["waiting_audit_count"]
    drawn = f" (drawn and waiting for a label: {waiting:,})" if waiting else ""
    return f"about {counted(needed, 'more audit')} would settle it{drawn}" if needed else ""


def _left_out(count: int, log_sample: float) -> str:
    """Return how many verdicts do not count, and why; empty if all count."""
    if not count:
        return ""
    reason = f" (log_sample is {log_sample:g})" if log_sample < 1 else ""
    return f"not counted, because the prediction is not stored: {counted(count, 'verdict')}{reason}"
