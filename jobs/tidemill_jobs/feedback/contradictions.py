"""Predictions on which sources, or people, do not agree."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidemill_core.domain.feedback import HoldReason, HoldState, JudgedPrediction


@dataclass(frozen=True)
class SettledVerdict:
    """Whether a verdict on a contested prediction counts.

    Attributes:
        verdict: the verdict.
        counts: whether it counts.
        detail: why, in a sentence.
    """

    verdict: JudgedPrediction
    counts: bool
    detail: str


def contradictions(
    judged: Iterable[JudgedPrediction], trust: Mapping[str, float], quorum: int
) -> Iterator[SettledVerdict]:
    """Yield a decision about each verdict on a prediction that several sources or people judged.

    People's label decides. Without one, a label counts if the trust of the sources that give it
    exceeds that of any other label by `quorum`, or if no one contradicts it. Verdicts that are held
    for another reason have no vote.
    """
    by_prediction: dict[str, list[JudgedPrediction]] = defaultdict(list)
    for each in judged:
        if each.truth is not None or votes(each):
            by_prediction[each.prediction_id].append(each)
    for verdicts in by_prediction.values():
        if verdicts[0].truth is not None:
            detail = f"people labeled the text {verdicts[0].truth!r}"
            yield from (SettledVerdict(each, bool(each.agrees), detail) for each in verdicts)
        elif len(verdicts) > 1 or verdicts[0].hold_state is HoldState.HELD:
            yield from _by_quorum(verdicts, trust, quorum)


def votes(verdict: JudgedPrediction) -> bool:
    """Return whether a verdict counts, or is held only because others contradict it."""
    if verdict.hold_state is HoldState.HELD:
        return verdict.hold is HoldReason.CONTRADICTION
    return verdict.hold_state is not HoldState.DROPPED


def _by_quorum(
    verdicts: Sequence[JudgedPrediction], trust: Mapping[str, float], quorum: int
) -> Iterator[SettledVerdict]:
    sums: dict[str, float] = defaultdict(float)
    for each in verdicts:
        if each.label is not None:
            sums[each.label] += trust.get(each.source, 1.0)
    predicted = verdicts[0].predicted
    if predicted is not None and sums.keys() == {predicted}:
        denied = sum(trust.get(each.source, 1.0) for each in verdicts if each.label is None)
        sums["another label"] += denied
    if not sums:
        return
    ranked = sorted(sums, key=lambda label: (-sums[label], label))
    first = ranked[0]
    leads = sums[first] - max((sums[label] for label in ranked[1:]), default=-quorum) >= quorum
    detail = "sources contradict each other: " + " against ".join(map(repr, ranked))
    for each in verdicts:
        fits = each.label == first or (each.label is None and first != predicted)
        yield SettledVerdict(each, leads and fits, detail)
