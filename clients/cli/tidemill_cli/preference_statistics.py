"""How far annotators agree on which answers are better."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidemill_cli.agreement import nominal_alpha
from tidemill_core.domain.preference import Pair


@dataclass(frozen=True)
class Statistics:
    """What was judged, and how far annotators agree.

    Attributes:
        judgements: all that are stored.
        votes: those that count: each annotator's latest on each pair.
        annotators: who gave them.
        prompts: that they are about.
        pairs: that they are about.
        ties: pairs with as many votes for the one answer as for the other.
        judged_by_several: pairs with two votes or more.
        agreed: those of them whose votes are all for one answer.
        disagreed: the others of them.
        agreement: agreed / judged_by_several; None where that is 0.
        alpha: see `nominal_alpha`; None where no pair has two votes, or all are for answers of
            one side.
    """

    judgements: int
    votes: int
    annotators: int
    prompts: int
    pairs: int
    ties: int
    judged_by_several: int
    agreed: int
    disagreed: int
    agreement: float | None
    alpha: float | None


def statistics_of(pairs: Sequence[Pair], judgements: int) -> Statistics:
    """The statistics of pairs that were made of so many judgements."""
    several = [pair for pair in pairs if len(pair.votes) > 1]
    agreed = sum(0 in pair.counts for pair in several)
    return Statistics(
        judgements=judgements,
        votes=sum(len(pair.votes) for pair in pairs),
        annotators=len({vote.annotator for pair in pairs for vote in pair.votes}),
        prompts=len({pair.prompt_hash for pair in pairs}),
        pairs=len(pairs),
        ties=sum(pair.winner is None for pair in pairs),
        judged_by_several=len(several),
        agreed=agreed,
        disagreed=len(several) - agreed,
        agreement=agreed / len(several) if several else None,
        # Which answer is the first of a pair is its hash's choice and so a coin's toss.
        alpha=nominal_alpha([pair.counts for pair in several]),
    )
