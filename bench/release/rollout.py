"""How often a rollout takes a good version for a bad one, and how soon it finds a bad one.

    python -m bench.release.rollout [--pairs 200]

Each pair of versions goes through a rollout with the default settings, decided by the function that
the job uses, on simulated callers: 20,000 an hour, and a check every two minutes. The champion is
right on 92 %. Users judge 3 % of the right and 15 % of the wrong answers, after ten minutes in the
mean, so about one answer in 25; with "little feedback" they judge a tenth of that. People audit 1 %
of the answers, after twelve hours in the mean. It exits with 1 if a row misses its must.
"""

import argparse
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from tidemill_core.domain.rollout import BothCounts, RolloutEvidence
from tidemill_core.settings.rollout import RolloutSettings
from tidemill_jobs.release.rollout.decision import Action, Stage, decide

_CALLS_AN_HOUR = 20_000
_INTERVAL = timedelta(minutes=2)
_CALLS_A_CHECK = _CALLS_AN_HOUR * _INTERVAL / timedelta(hours=1)
_JUDGED_RIGHT, _JUDGED_WRONG, _AUDITED = 0.03, 0.15, 0.01
_VERDICT_AFTER, _AUDIT_AFTER = timedelta(minutes=10), timedelta(hours=12)
_START = datetime(2026, 3, 1, tzinfo=UTC)
_SETTINGS = RolloutSettings()


@dataclass(frozen=True)
class Version:
    """Shares of a version's answers: wrong, above the latency objective, and missing."""

    wrong: float = 0.08
    slow: float = 0.004
    missing: float = 0.0


@dataclass
class Arm:
    """The counts of one version, by the candidate's percent."""

    version: Version
    answers: Counter[int] = field(default_factory=Counter)
    wrong: Counter[int] = field(default_factory=Counter)
    judged: int = 0
    slow: int = 0
    waiting: dict[tuple[int, timedelta, bool], int] = field(
        default_factory=lambda: defaultdict(int)
    )

    def answer(self, percent: int, calls: int, feedback: float, draw: np.random.Generator) -> None:
        """Answer some calls; some of the answers will be judged."""
        version = self.version
        answered = int(draw.binomial(calls, 1 - version.missing))
        wrong = int(draw.binomial(answered, version.wrong))
        self.answers[percent] += answered
        # The latency of copies does not count, and no one judges them.
        self.slow += int(draw.binomial(answered, version.slow)) if feedback else 0
        for count, share, is_wrong in (
            (wrong, _JUDGED_WRONG, True),
            (answered - wrong, _JUDGED_RIGHT, False),
        ):
            by_users = int(draw.binomial(count, share * feedback))
            audited = int(draw.binomial(count - by_users, _AUDITED))
            self.waiting[percent, _VERDICT_AFTER, is_wrong] += by_users
            self.waiting[percent, _AUDIT_AFTER, is_wrong] += audited

    def hear(self, draw: np.random.Generator) -> None:
        """Get the verdicts of one interval."""
        for (percent, after, is_wrong), count in self.waiting.items():
            came = int(draw.binomial(count, -np.expm1(-(_INTERVAL / after))))
            self.waiting[percent, after, is_wrong] -= came
            self.judged += came
            self.wrong[percent] += came if is_wrong else 0


@dataclass(frozen=True)
class Outcome:
    """How a rollout ended, after how many answers of the candidate and how many hours."""

    action: Action
    proven: bool
    exposed: int
    hours: float


def roll_out(version: Version, feedback: float, draw: np.random.Generator) -> Outcome:
    """Return how the rollout of a version ends beside a champion with the defaults."""
    ours, theirs = Arm(version), Arm(Version())
    stage, now = Stage(_START, 0, _START), _START
    while True:
        now += _INTERVAL
        calls = int(draw.poisson(_CALLS_A_CHECK))
        chosen = int(draw.binomial(calls, stage.percent / 100)) if stage.percent else calls
        ours.answer(stage.percent, chosen, feedback if stage.percent else 0.0, draw)
        theirs.answer(stage.percent, calls - chosen if stage.percent else calls, feedback, draw)
        for arm in (ours, theirs):
            arm.hear(draw)
        decision = decide(stage, _evidence(ours, theirs), _SETTINGS, now)
        if decision.action is Action.ADVANCE:
            stage = Stage(_START, decision.percent, now)
        elif decision.action is not Action.HOLD:
            proven = not decision.reason.startswith("undecided")
            exposed = sum(count for percent, count in ours.answers.items() if percent)
            return Outcome(decision.action, proven, exposed, (now - _START) / timedelta(hours=1))


def _evidence(ours: Arm, theirs: Arm) -> RolloutEvidence:
    steps = [percent for percent in ours.answers if percent]
    return RolloutEvidence(
        answers=ours.answers,
        choices={step: BothCounts(ours.answers[step], theirs.answers[step]) for step in steps},
        wrong={step: BothCounts(ours.wrong[step], theirs.wrong[step]) for step in steps},
        judged=ours.judged + theirs.judged,
        timed=BothCounts(ours.answers.total() - ours.answers[0], theirs.answers.total()),
        slow=BothCounts(ours.slow, theirs.slow),
    )


_MOST_WRONGLY, _LEAST_RIGHTLY = 0.05, 0.95
_MUSTS = {
    "as good": ("rolled back in at most 5 %", lambda share: share <= _MOST_WRONGLY),
    "as good, little feedback": (
        "rolled back in at most 5 %",
        lambda share: share <= _MOST_WRONGLY,
    ),
    "5 points worse": ("rolled back in at least 95 %", lambda share: share >= _LEAST_RIGHTLY),
}
_ROWS = (
    ("as good", Version(), 1.0),
    ("as good, little feedback", Version(), 0.1),
    ("5 points worse", Version(wrong=0.13), 1.0),
    ("5 points worse, little feedback", Version(wrong=0.13), 0.1),
    ("2 points worse", Version(wrong=0.10), 1.0),
    ("2 points better", Version(wrong=0.06), 1.0),
    ("no answer to 5 % of the calls", Version(missing=0.05), 1.0),
    ("3 % of the answers too slow", Version(slow=0.03), 1.0),
)


def _must(name: str, share: float) -> str:
    """Return what a row must reach by its share of rolled back versions, and whether it does."""
    if name not in _MUSTS:
        return ""
    wanted, reaches = _MUSTS[name]
    return f"{wanted}: {'reached' if reaches(share) else 'SHORT'}"


def main() -> int:
    """Run the benchmark; return 1 if a row misses its must."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=200, help="number of pairs")
    pairs = parser.parse_args().pairs
    headings = ("rolled back", "promoted", "undecided", "exposed (median)", "(90 %)", "hours")
    table, musts = Table("candidate", *headings, "must"), []
    for row, (name, version, feedback) in enumerate(_ROWS):
        found = [
            roll_out(version, feedback, np.random.default_rng([row, pair])) for pair in range(pairs)
        ]
        back = sum(each.action is Action.ROLL_BACK and each.proven for each in found)
        promoted = sum(each.action is Action.PROMOTE and each.proven for each in found)
        shares = [f"{count / pairs:.1%}" for count in (back, promoted, pairs - back - promoted)]
        half, most = np.quantile([each.exposed for each in found], (0.5, 0.9))
        hours = np.median([each.hours for each in found])
        musts.append(_must(name, back / pairs))
        table.add_row(name, *shares, f"{half:,.0f}", f"{most:,.0f}", f"{hours:.1f}", musts[-1])
    Console(width=150).print(table)
    Console().print(f"{pairs} pairs a row; undecided ones are then promoted, by the default")
    return 1 if any("SHORT" in must for must in musts) else 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
