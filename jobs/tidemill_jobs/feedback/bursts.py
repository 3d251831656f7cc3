"""Bursts: a few sources that push one label up or down, unlike everyone else.

Only verdicts that contest a prediction are looked at, by the label that they give and by the label
that they deny, over the whole time and on each day. The peers of a label are all sources but the
few that give (or deny) it in the largest share of their verdicts; so a few coordinated sources
never serve as each other's measure. A burst needs all of this:
- each source gives the label with at least MIN_ODDS_RATIO times the odds of the peers;
- together they give it so often that it would be chance in less than MAX_CHANCE of all cases
  (binomial tail at the peers' share, times the number of ways to choose that number of sources);
- they contest more confident predictions than the peers do, or the label is most of what they say.
  Honest corrections of wrong answers are no bolder than others, even where a source has a subject
  of its own.
Without peers, for example if one application sends everything, nothing is a burst.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtrc, ndtr

from tidemill_core.counted import counted
from tidemill_core.domain.feedback import JudgedPrediction

MIN_VERDICTS = 10
"""Fewest verdicts of a burst, of all its sources together."""
MIN_ODDS_RATIO = 3.0
MAX_CHANCE_OF_SOURCE = 1e-3
MAX_CHANCE = 1e-6
MAX_BOLD_CHANCE = 0.01
GLARING_SHARE, RARE_SHARE = 0.5, 0.1
"""A label that is most of the sources' corrections and few of the peers' is a burst, however
confident the predictions are."""
FEW_SOURCES = 3
FEW_SHARE = 0.1
"""The sources that are not peers: three, or a tenth of all if that is more; never all."""
MIN_PEER_VERDICTS = 20
_MIN_OF_SOURCE = 3

_LabelOf = Callable[[JudgedPrediction], str | None]


@dataclass(frozen=True)
class Burst:
    """Verdicts of a few sources that push one label.

    Attributes:
        label: the label.
        detail: what they do, in a sentence with the figures.
        pushed: the verdicts that push the label.
        strength: how much more often they do so than the peers, as a log-likelihood ratio.
    """

    label: str
    detail: str
    pushed: tuple[JudgedPrediction, ...]
    strength: float

    @property
    def verdicts(self) -> list[JudgedPrediction]:
        """The verdicts without those that people's labels agree with."""
        return [each for each in self.pushed if not each.agrees]


@dataclass(frozen=True)
class _Direction:
    """One way to push a label.

    Attributes:
        verb: what the sources do with the label.
        label_of: the label that a verdict pushes.
    """

    verb: str
    label_of: _LabelOf


_DIRECTIONS = (
    _Direction("give the label", lambda each: each.label),
    _Direction("deny the label", lambda each: each.predicted),
)


def find_bursts(judged: Iterable[JudgedPrediction]) -> list[Burst]:
    """Return the bursts among each source's latest verdicts on each prediction.

    The strongest one is found first. Its verdicts are removed before the next one is looked for, so
    a large attack does not distort what is usual.
    """
    contested = [each for each in judged if each.contests]
    found: list[Burst] = []
    while bursts := list(_bursts(contested)):
        strongest = max(bursts, key=lambda burst: burst.strength)
        found.append(strongest)
        removed = {each.feedback_id for each in strongest.pushed}
        contested = [each for each in contested if each.feedback_id not in removed]
    return found


def _bursts(contested: Sequence[JudgedPrediction]) -> Iterator[Burst]:
    """Yield the bursts among verdicts over the whole time and on each day."""
    days = defaultdict(list)
    for each in contested:
        days[each.create_time.date()].append(each)
    for direction in _DIRECTIONS:
        everything = _Pushed.of(contested, direction)
        periods = [everything, *(_Pushed.of(day, direction) for day in days.values())]
        for within in periods:
            for label in within.labels():
                burst = _burst(label, within, everything, direction)
                if burst is not None:
                    yield burst


@dataclass(frozen=True)
class _Pushed:
    """Verdicts that contest a prediction.

    Attributes:
        totals: number of verdicts by source.
        by_label: the verdicts by the label that they push and the source.
    """

    totals: Mapping[str, int]
    by_label: Mapping[str, Mapping[str, Sequence[JudgedPrediction]]]

    @staticmethod
    def of(contested: Sequence[JudgedPrediction], direction: _Direction) -> "_Pushed":
        by_label: dict[str, dict[str, list[JudgedPrediction]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for each in contested:
            label = direction.label_of(each)
            if label is not None:
                by_label[label][each.source].append(each)
        return _Pushed(Counter(each.source for each in contested), by_label)

    def labels(self) -> Iterator[str]:
        """Yield the labels that at least MIN_VERDICTS verdicts push."""
        for label, by_source in self.by_label.items():
            if sum(map(len, by_source.values())) >= MIN_VERDICTS:
                yield label

    def share(self, label: str, source: str) -> float:
        """Return the share of a source's verdicts that push a label."""
        return len(self.by_label[label][source]) / self.totals[source]

    def leading(self, label: str, few: int) -> list[str]:
        """Return the few sources that push a label in the largest share of their verdicts."""
        given = self.by_label.get(label, {})
        pushing = [source for source, verdicts in given.items() if len(verdicts) >= _MIN_OF_SOURCE]
        return sorted(pushing, key=lambda source: -self.share(label, source))[:few]

    def counts(self, label: str, sources: Collection[str]) -> tuple[int, int]:
        """Return how many verdicts of some sources push a label, and how many there are."""
        pushed = sum(len(self.by_label[label][source]) for source in sources)
        return pushed, sum(self.totals[source] for source in sources)


def _burst(label: str, within: _Pushed, everything: _Pushed, direction: _Direction) -> Burst | None:
    """Return the burst of a label within a period, measured by the peers of all times."""
    sources = len(everything.totals)
    few = min(max(FEW_SOURCES, math.ceil(FEW_SHARE * sources)), sources - 1)
    leading = within.leading(label, few)
    peers = everything.totals.keys() - {*everything.leading(label, few), *leading}
    peer_total = sum(everything.totals[source] for source in peers)
    if not leading or peer_total < MIN_PEER_VERDICTS:
        return None
    pushed = everything.by_label[label]
    share = (sum(len(pushed.get(source, ())) for source in peers) + 1) / (peer_total + 2)
    suspects = [each for each in leading if _pushes(*within.counts(label, [each]), share)]
    verdicts = [each for source in suspects for each in within.by_label[label][source]]
    count, total = within.counts(label, suspects)
    if count < MIN_VERDICTS or not _is_unlikely(count, total, share, len(within.totals), suspects):
        return None
    is_glaring = count / total > GLARING_SHARE and share < RARE_SHARE
    if not is_glaring and not _is_bold(verdicts, _confidences(everything, peers)):
        return None
    detail = (
        f"{counted(len(suspects), 'source')}: {count} of {total} corrections "
        f"({count / total:.0%}) {direction.verb} {label!r}; {share:.1%} of all others' do"
    )
    return Burst(label, detail, tuple(verdicts), count * math.log(count / total / share))


def _is_unlikely(
    count: int, total: int, share: float, sources: int, suspects: Sequence[str]
) -> bool:
    """Return whether chance rarely makes any group of this size say this."""
    chance = float(bdtrc(count - 1, total, share))
    if chance == 0:
        return True
    return math.log(chance) + math.log(math.comb(sources, len(suspects))) <= math.log(MAX_CHANCE)


def _pushes(count: int, total: int, share: float) -> bool:
    """Return whether a source pushes a label far more often than a share of its verdicts."""
    own = count / total
    has_odds = own * (1 - share) >= MIN_ODDS_RATIO * share * (1 - own)
    return has_odds and bdtrc(count - 1, total, share) <= MAX_CHANCE_OF_SOURCE


def _confidences(everything: _Pushed, peers: Set[str]) -> npt.NDArray[np.float64]:
    """Return the known confidences of the predictions that the peers contest, sorted."""
    known = [
        each.confidence
        for by_source in everything.by_label.values()
        for source in peers & by_source.keys()
        for each in by_source[source]
        if each.confidence is not None
    ]
    return np.sort(np.array(known, dtype=np.float64))


def _is_bold(verdicts: Sequence[JudgedPrediction], usual: npt.NDArray[np.float64]) -> bool:
    """Return whether verdicts contest more confident predictions than the peers do.

    By the rank test of Mann and Whitney (1947). A prediction that is not stored counts as more
    confident than any. If the peers' predictions do not differ in confidence, it says nothing.
    """
    if len(usual) == 0 or usual[0] == usual[-1]:
        return True
    own = np.array([1.0 if each.confidence is None else each.confidence for each in verdicts])
    below, above = (np.searchsorted(usual, own, side=side) for side in ("left", "right"))
    superiority = float(np.mean(below + above)) / (2 * len(usual))
    error = math.sqrt((len(own) + len(usual) + 1) / (12 * len(own) * len(usual)))
    return bool(ndtr((1 / 2 - superiority) / error) <= MAX_BOLD_CHANCE)
