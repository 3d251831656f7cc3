"""The choice of the predictions whose accuracy is judged.

People label audits days after the predictions were made. So the newest window often has no label
yet: then the newest one that has is judged, together with the windows before it if it has too few.
If that many leave open whether the accuracy fell, more windows before it may show that it did: a
task with few audits notices a lasting fall so. Each check looks at the last windows again, so late
labels count when they come.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain

from tidemill_core.domain.report import ReportVerdict
from tidemill_core.settings.sections import CHECKED_WINDOWS
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.guesses import audits_of
from tidemill_jobs.monitoring.accuracy.judging import AccuracyLimits, verdict_on
from tidemill_jobs.monitoring.accuracy.prediction_powered import audit_estimate


@dataclass(frozen=True)
class AuditWindow:
    """A span of time: `since` is inclusive, `until` exclusive."""

    since: datetime
    until: datetime

    def __contains__(self, time: datetime) -> bool:
        return self.since <= time < self.until


def windows_before(now: datetime, hours: float) -> list[AuditWindow]:
    """Return the windows that a check looks at, the newest first.

    Predictions are counted by the hour, so a window has full hours, and the newest one ends with
    the current hour.
    """
    start = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    end, length = start + timedelta(hours=1), timedelta(hours=math.ceil(hours))
    return [
        AuditWindow(end - (age + 1) * length, end - age * length) for age in range(CHECKED_WINDOWS)
    ]


def choose(
    windows: Sequence[AuditWindow], audited: Sequence[AuditedPrediction], limits: AccuracyLimits
) -> Sequence[AuditWindow]:
    """Return the neighboring windows to judge, the newest first.

    Args:
        windows: the newest first.
        audited: the version's.
        limits: what its accuracy is compared with.

    Returns:
        The shortest span with enough audits, or a longer one that shows a fall which the shortest
        leaves open. All windows with an audit if they have too few; the newest if none has one.
    """
    within = [[each for each in audited if each.predict_time in window] for window in windows]
    labeled = [number for number, members in enumerate(within) if members]
    if not labeled:
        return windows[:1]
    first, last = labeled[0], labeled[-1]
    spans = [(first, end) for end in range(first + 1, last + 2)]
    counts = {span: list(chain.from_iterable(within[slice(*span)])) for span in spans}
    enough = [span for span in spans if len(counts[span]) >= limits.fewest]
    if not enough:
        return windows[first : last + 1]
    verdicts = {span: _verdict(counts[span], limits) for span in enough}
    falls = [span for span in enough if verdicts[span] is ReportVerdict.ALERT]
    is_open = verdicts[enough[0]] is ReportVerdict.INSUFFICIENT
    return windows[slice(*(falls[0] if is_open and falls else enough[0]))]


def _verdict(audited: Sequence[AuditedPrediction], limits: AccuracyLimits) -> ReportVerdict:
    return verdict_on(audit_estimate(audits_of(audited)), limits, part_fell=False)
