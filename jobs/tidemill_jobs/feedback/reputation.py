"""How often each source of feedback is right, as far as people's labels show."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import betainc, betaincinv

from tidemill_core.domain.feedback import HoldState, JudgedPrediction

PRIOR_RIGHT, PRIOR_WRONG = 4.0, 1.0
"""The prior: a source about which nothing is known is as trusted as after four right verdicts of
five. Five wrong verdicts and no right one are needed to hold it."""
CERTAINTY = 0.95


@dataclass(frozen=True)
class Reputation:
    """How often a source was right.

    Attributes:
        right: verdicts that people's labels, or a person who reviewed them, agree with.
        wrong: the others of these.
    """

    right: int
    wrong: int

    @property
    def agreement(self) -> float:
        """The mean of the Beta posterior of the share of right verdicts."""
        return (PRIOR_RIGHT + self.right) / (PRIOR_RIGHT + PRIOR_WRONG + self.right + self.wrong)

    @property
    def interval(self) -> tuple[float, float]:
        """The central interval of the posterior with the probability CERTAINTY."""
        shape = (PRIOR_RIGHT + self.right, PRIOR_WRONG + self.wrong)
        tail = (1 - CERTAINTY) / 2
        return float(betaincinv(*shape, tail)), float(betaincinv(*shape, 1 - tail))

    def is_below(self, agreement: float) -> bool:
        """Return whether the share of right verdicts is below a value, with CERTAINTY."""
        shape = (PRIOR_RIGHT + self.right, PRIOR_WRONG + self.wrong)
        return float(betainc(*shape, agreement)) >= CERTAINTY


def reputations(judged: Iterable[JudgedPrediction]) -> dict[str, Reputation]:
    """Return the reputation of each source whose verdicts were checked.

    A verdict was checked if people labeled its prediction, or if a person released or dropped it.
    """
    checked: dict[str, Counter[bool]] = defaultdict(Counter)
    for each in judged:
        right = each.agrees
        if right is None and each.hold_state in (HoldState.RELEASED, HoldState.DROPPED):
            right = each.hold_state is HoldState.RELEASED
        if right is not None:
            checked[each.source][right] += 1
    return {source: Reputation(count[True], count[False]) for source, count in checked.items()}
