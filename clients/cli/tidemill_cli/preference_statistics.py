"""Statistics of preference judgements."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidemill_cli.agreement import nominal_alpha
from tidemill_core.domain.preference import JudgedPair


@dataclass(frozen=True)
class Statistics:
    """The judged pairs, and the agreement of annotators.

    Attributes:
        judgements: the number of judgements.
        votes: the number of judgements that count, each annotator's latest on each pair.
        annotators: the number of annotators.
        prompts: the number of prompts.
        pairs: the number of pairs.
        ties: the number of pairs with as many votes for one answer as for the other.
        judged_by_several: the number of pairs with at least two votes.
        agreed: the number of those whose votes are all for one answer.
        disagreed: the number of the others of those.
        agreement: agreed / judged_by_several; None if that is 0.
        alpha: see `nominal_alpha`; None if no pair has two votes, or all votes are for answers on
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


def statistics_of(pairs: Sequence[JudgedPair], judgements: int) -> Statistics:
    """Return the statistics of pairs and the number of their judgements."""
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
        # Hashes decide which answer of a pair is the first, so the side is random.
        alpha=nominal_alpha([pair.counts for pair in several]),
    )
