"""The evidence about a version's accuracy, read from the database."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidemill_core.domain.label_names import Renames
from tidemill_core.domain.labeling import LabelItemState
from tidemill_core.storage.accuracy_totals import (
    AnsweredSpan,
    Totals,
    count_unstored_verdicts,
    read_totals,
)
from tidemill_core.storage.audited_predictions import (
    AuditedPrediction,
    count_undecided_audits,
    read_audits,
)
from tidemill_core.storage.database import Database
from tidemill_jobs.monitoring.accuracy.deciding_window import Window, choose, windows_before
from tidemill_jobs.monitoring.accuracy.judging import Limits


@dataclass(frozen=True)
class Answers:
    """The answers of a version, whose accuracy is estimated, and their labels' current names."""

    task: str
    model_version: int
    renames: Renames


@dataclass(frozen=True)
class Evidence:
    """What is known about a version's accuracy.

    Attributes:
        windows: those that a check looks at, the newest first.
        deciding: neighboring windows whose predictions are judged, the newest first.
        audits: all versions' audited predictions of the windows.
        totals: sums over the version's predictions of the deciding windows.
        undecided: drawn predictions of the deciding windows without a label, by their state.
        unstored: verdicts on predictions that are not stored.
    """

    answers: Answers
    windows: Sequence[Window]
    deciding: Sequence[Window]
    audits: Sequence[AuditedPrediction]
    totals: Totals
    undecided: Mapping[LabelItemState, int]
    unstored: int

    @property
    def span(self) -> Window:
        """The deciding windows as one."""
        return Window(self.deciding[-1].since, self.deciding[0].until)

    @property
    def audited(self) -> list[AuditedPrediction]:
        """The version's audited predictions of the deciding windows."""
        return self.audited_in(self.span)

    @property
    def earlier(self) -> list[AuditedPrediction]:
        """The version's audited predictions before the deciding windows."""
        return [each for each in self._own if each.predict_time < self.span.since]

    def audited_in(self, window: Window) -> list[AuditedPrediction]:
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
        version = self.answers.model_version
        return [each for each in self.audits if each.model_version == version]


def read_evidence(
    database: Database, answers: Answers, now: datetime, window: timedelta, limits: Limits
) -> Evidence:
    """Return the evidence about a version.

    Args:
        database: where predictions, verdicts and labels are.
        answers: the version's.
        now: the end of the newest window.
        window: the length of a window.
        limits: what the accuracy is compared with.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    windows = windows_before(now, window)
    audits = read_audits(database, answers.task, windows[-1].since, answers.renames)
    version = answers.model_version
    deciding = choose(windows, [each for each in audits if each.model_version == version], limits)
    spans = [AnsweredSpan(answers.task, version, each.since, each.until) for each in deciding]
    totals = [read_totals(database, span, answers.renames) for span in spans]
    return Evidence(
        answers,
        windows,
        deciding,
        audits,
        Totals.merged(totals),
        sum((count_undecided_audits(database, span) for span in spans), Counter()),
        count_unstored_verdicts(database, answers.task, version, spans[-1].since),
    )
