"""The report about feedback that is held: who pushes what, and why it is held."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tidemill_core.counted import counted
from tidemill_core.domain.feedback import FeedbackHold, HoldReason, HoldState
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.feedback.reputation import Reputation
from tidemill_jobs.monitoring.reporting import CheckFinding, ReportSubject, report

KIND = "feedback"
REPORT_EVERY = timedelta(hours=1)
"""How often an attack that goes on is reported again."""
_SHOWN_SOURCES = 20
_NAMED_SOURCES = 3


def report_attacks(context: JobContext, sources: Mapping[str, Reputation]) -> None:
    """Report what is held for another reason than a contradiction, and raise or resolve the alert.

    A report is written if verdicts were held since the last one, at most every REPORT_EVERY; and
    once nothing is held any more.
    """
    storage, task, now = context.storage, context.task, context.clock()
    held = [
        each
        for each in storage.feedback_holds.all_of(task)
        if each.state is HoldState.HELD and each.reason is not HoldReason.CONTRADICTION
    ]
    newest, _ = storage.reports.page(task, KIND, Page(1))
    alerted = bool(newest) and newest[0].verdict is ReportVerdict.ALERT
    if not held:
        if alerted:
            _write(context, CheckFinding(ReportVerdict.OK, "no suspicious feedback is held", {}))
        return
    if alerted:
        last = newest[0].create_time
        if now - last < REPORT_EVERY or all(each.create_time <= last for each in held):
            return
    _write(context, _finding(held, sources))


def _write(context: JobContext, finding: CheckFinding) -> None:
    deployment = context.storage.models.deployment(context.task)
    champion = 0 if deployment is None else deployment.champion
    subject = ReportSubject(context.task, KIND, champion, context.run_id, context.clock())
    report(context.storage, context.settings.alerts, subject, finding)


def _finding(held: Sequence[FeedbackHold], sources: Mapping[str, Reputation]) -> CheckFinding:
    groups = defaultdict(list)
    for each in held:
        # A source with a poor reputation is held whatever label it gives.
        label = each.label if each.reason is HoldReason.BURST else ""
        groups[each.reason, label].append(each)
    attacks = sorted(map(_attack, groups.values()), key=lambda attack: -attack["count"])
    suspects = {each.source for each in held}
    details = {
        "held_count": len(held),
        "attacks": attacks,
        "sources": [_source(name, sources[name]) for name in sorted(suspects & sources.keys())][
            :_SHOWN_SOURCES
        ],
    }
    others = f", and {counted(len(attacks) - 1, 'more finding')}" if len(attacks) > 1 else ""
    return CheckFinding(ReportVerdict.ALERT, _summary(attacks[0]) + others, details)


def _attack(holds: Sequence[FeedbackHold]) -> dict[str, Any]:
    newest = max(holds, key=lambda each: each.create_time)
    sources = sorted({each.source for each in holds})
    return {
        "reason": str(newest.reason),
        "label": newest.label if newest.reason is HoldReason.BURST else "",
        "sources": sources[:_SHOWN_SOURCES],
        "source_count": len(sources),
        "count": len(holds),
        "first_time": min(each.create_time for each in holds).isoformat(),
        "last_time": newest.create_time.isoformat(),
        "why": newest.detail,
    }


def _source(name: str, reputation: Reputation) -> dict[str, Any]:
    low, high = reputation.interval
    return {
        "source": name,
        "right_count": reputation.right,
        "wrong_count": reputation.wrong,
        "agreement": round(reputation.agreement, 3),
        "agreement_low": round(low, 3),
        "agreement_high": round(high, 3),
    }


def _summary(attack: Mapping[str, Any]) -> str:
    names = ", ".join(repr(source) for source in attack["sources"][:_NAMED_SOURCES])
    more = attack["source_count"] - _NAMED_SOURCES
    sources = f"{names} and {more} more" if more > 0 else names
    about = f" about the label {attack['label']!r}" if attack["label"] else ""
    count = counted(attack["count"], "verdict")
    return f"held: {count}{about} from {sources}: {attack['why']}"
