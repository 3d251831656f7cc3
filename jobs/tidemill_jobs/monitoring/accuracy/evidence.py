"""The evidence about a version's accuracy, read from the database."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidemill_core.domain.label_names import Renames
from tidemill_core.storage.accuracy_totals import (
    AnsweredSpan,
    Totals,
    count_unstored_verdicts,
    read_totals,
)
from tidemill_core.storage.audited_predictions import (
    AuditedPrediction,
    count_waiting_audits,
    read_audits,
)
from tidemill_core.storage.database import Database
from tidemill_jobs.monitoring.accuracy.deciding_window import Window, choose, windows_before


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
        waiting: audited predictions of the deciding windows that people have not decided on.
        unstored: verdicts on predictions that are not stored.
    """

    answers: Answers
    windows: Sequence[Window]
    deciding: Sequence[Window]
    audits: Sequence[AuditedPrediction]
    totals: Totals
    waiting: int
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
    database: Database, answers: Answers, now: datetime, window: timedelta, fewest: int
) -> Evidence:
    """Return the evidence about a version.

    Args:
        database: where predictions, verdicts and labels are.
        answers: the version's.
        now: the end of the newest window.
        window: the length of a window.
        fewest: how many audits are enough for a conclusion.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    windows = windows_before(now, window)
    audits = read_audits(database, answers.task, windows[-1].since, answers.renames)
    version = answers.model_version
    times = [each.predict_time for each in audits if each.model_version == version]
    deciding = choose(windows, times, fewest)
    spans = [AnsweredSpan(answers.task, version, each.since, each.until) for each in deciding]
    totals = [read_totals(database, span, answers.renames) for span in spans]
    return Evidence(
        answers,
        windows,
        deciding,
        audits,
        Totals.merged(totals),
        sum(count_waiting_audits(database, span) for span in spans),
        count_unstored_verdicts(database, answers.task, version, spans[-1].since),
    )
