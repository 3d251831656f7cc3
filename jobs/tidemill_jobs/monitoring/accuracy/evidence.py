"""The evidence about a version's accuracy, read from the database."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidemill_core.domain.label_names import Renames
from tidemill_core.domain.labeling import LabelItemState
from tidemill_core.storage.accuracy_totals import (
    AnsweredSpan,
    JudgedTotals,
    Sampled,
    count_answers,
    count_unstored_verdicts,
    judged_totals,
    read_sample,
)
from tidemill_core.storage.audited_predictions import (
    AuditedPrediction,
    count_undecided_audits,
    read_audits,
)
from tidemill_core.storage.database import Database
from tidemill_jobs.monitoring.accuracy.deciding_window import AuditWindow, choose, windows_before
from tidemill_jobs.monitoring.accuracy.judging import AccuracyLimits


@dataclass(frozen=True)
class JudgedVersion:
    """A version whose accuracy is estimated, and its labels' current names."""

    task: str
    model_version: int
    renames: Renames


@dataclass(frozen=True)
class AccuracyEvidence:
    """What is known about a version's accuracy.

    Attributes:
        windows: those that a check looks at, the newest first.
        deciding: neighboring windows whose predictions are judged, the newest first.
        audits: all versions' audited predictions of the windows.
        counts: how many predictions the version has in the deciding windows, by label.
        judged: those that users judged, by label.
        sample: a random sample of them, or all if they are few.
        undecided: drawn predictions of the deciding windows without a label, by their state.
        unstored: verdicts on predictions that are not stored.
    """

    version: JudgedVersion
    windows: Sequence[AuditWindow]
    deciding: Sequence[AuditWindow]
    audits: Sequence[AuditedPrediction]
    counts: Mapping[str, int]
    judged: Mapping[str, JudgedTotals]
    sample: Sequence[Sampled]
    undecided: Mapping[LabelItemState, int]
    unstored: int

    @property
    def span(self) -> AuditWindow:
        """The deciding windows as one."""
        return AuditWindow(self.deciding[-1].since, self.deciding[0].until)

    @property
    def prediction_count(self) -> int:
        """How many predictions the version has in the deciding windows."""
        return sum(self.counts.values())

    @property
    def verdict_count(self) -> int:
        """How many of these users judged."""
        return sum(each.count for each in self.judged.values())

    @property
    def audited(self) -> list[AuditedPrediction]:
        """The version's audited predictions of the deciding windows."""
        return self.audited_in(self.span)

    @property
    def earlier(self) -> list[AuditedPrediction]:
        """The version's audited predictions before the deciding windows."""
        return [each for each in self._own if each.predict_time < self.span.since]

    def audited_in(self, window: AuditWindow) -> list[AuditedPrediction]:
        """Return the version's audited predictions of a window."""
        return [each for each in self._own if each.predict_time in window]

    def by_version(self) -> dict[int, list[AuditedPrediction]]:
        """Return the audited predictions of the deciding windows by the version that answered."""
        found: dict[int, list[AuditedPrediction]] = defaultdict(list)
        for each in self.audits:
            if each.predict_time in self.span:
                found[each.model_version].append(each)
        return found

    @property
    def _own(self) -> list[AuditedPrediction]:
        number = self.version.model_version
        return [each for each in self.audits if each.model_version == number]


def read_evidence(
    database: Database,
    version: JudgedVersion,
    now: datetime,
    window_hours: float,
    limits: AccuracyLimits,
) -> AccuracyEvidence:
    """Return the evidence about a version.

    Args:
        database: where predictions, verdicts and labels are.
        version: the version.
        now: a time in the last hour of the newest window.
        window_hours: the length of a window.
        limits: what the accuracy is compared with.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    windows = windows_before(now, window_hours)
    audits = read_audits(database, version.task, windows[-1].since, version.renames)
    number = version.model_version
    deciding = choose(windows, [each for each in audits if each.model_version == number], limits)
    span = AnsweredSpan(version.task, number, deciding[-1].since, deciding[0].until)
    counts = count_answers(database, span, version.renames)
    return AccuracyEvidence(
        version,
        windows,
        deciding,
        audits,
        counts,
        judged_totals(database, span, version.renames),
        read_sample(database, span, counts.total(), version.renames),
        count_undecided_audits(database, span),
        count_unstored_verdicts(database, version.task, number, span.since),
    )
