"""Bursts: a few sources that push one label up or down, unlike everyone else.

Only verdicts that contest a prediction are looked at, by the label that they give and by the label
that they deny, over the whole time and on each day. The peers of a label are all sources but the
few that give (or deny) it in the largest share of their verdicts; so a few coordinated sources
never serve as each other's measure. A burst needs all of this:
- each source gives the label at least MIN_LIFT times as often as the peers;
- together they give it so often that it would be chance in less than MAX_CHANCE of all cases
  (binomial tail at the peers' share);
- they contest confident predictions more often than the peers do. Honest corrections of wrong
  answers do not, even where a source has a subject of its own.
Without peers, for example if one application sends everything, nothing is a burst.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrc

from tidemill_core.domain.feedback import JudgedPrediction

MIN_VERDICTS = 10
"""Fewest verdicts of a burst, of all its sources together."""
MIN_LIFT = 3.0
MAX_CHANCE = 1e-6
MAX_BOLD_CHANCE = 0.01
FEW_SOURCES = 3
FEW_SHARE = 0.1
"""The sources that are not peers: three, or a tenth of all if that is more; never all."""
MIN_PEER_VERDICTS = 20
_MIN_OF_SOURCE = 3
_BOLD_QUANTILE = 0.75

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
    suspects = [each for each in leading if within.share(label, each) >= MIN_LIFT * share]
    if not _is_unlikely(*within.counts(label, suspects), share):
        return None
    boldness = _Boldness.of(everything, peers)
    suspects = [each for each in suspects if boldness.is_found(within.by_label[label][each], 1 / 2)]
    verdicts = [each for source in suspects for each in within.by_label[label][source]]
    count, total = within.counts(label, suspects)
    if not _is_unlikely(count, total, share) or not boldness.is_found(verdicts, MAX_BOLD_CHANCE):
        return None
    detail = (
        f"{len(suspects)} source(s) {direction.verb} {label!r} in {count} of their {total} "
        f"corrections ({count / total:.0%}); all others do in {share:.1%} of theirs"
    )
    strength = count * math.log(count / total / share)
    return Burst(label, detail, tuple(verdicts), strength)


def _is_unlikely(count: int, total: int, share: float) -> bool:
    return count >= MIN_VERDICTS and bdtrc(count - 1, total, share) <= MAX_CHANCE


@dataclass(frozen=True)
class _Boldness:
    """How confident the predictions are that the peers contest.

    Attributes:
        limit: the confidence from which contesting a prediction is bold.
        share: the share of the peers' verdicts that are bold.
    """

    limit: float
    share: float

    @staticmethod
    def of(everything: _Pushed, peers: Set[str]) -> "_Boldness":
        known = [
            each.confidence
            for by_source in everything.by_label.values()
            for source in peers & by_source.keys()
            for each in by_source[source]
            if each.confidence is not None
        ]
        limit = float(np.quantile(known, _BOLD_QUANTILE)) if known else 0.0
        return _Boldness(limit, sum(each >= limit for each in known) / max(1, len(known)))

    def is_found(self, verdicts: Sequence[JudgedPrediction], chance: float) -> bool:
        """Return whether verdicts contest confident predictions more often than the peers do.

        A prediction that is not stored counts as confident. If the peers contest confident ones
        in most of their verdicts, or none of theirs is stored, confidence says nothing.
        """
        if not 0 < self.share <= 1 / 2:
            return True
        bold = sum(each.confidence is None or each.confidence >= self.limit for each in verdicts)
        return bool(bdtrc(bold - 1, len(verdicts), self.share) <= chance)
