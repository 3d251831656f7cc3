"""Preference pairs: which of two answers to a prompt people find better."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from tidemill_core.domain.split import content_hash


@dataclass(frozen=True)
class Preference:
    """One annotator's judgement of one pair, durable from the moment it is acknowledged.

    Attributes:
        preference_id: its id.
        task: the task it belongs to; may be empty.
        prompt: what was asked.
        chosen: the better answer.
        rejected: the other answer.
        annotator: who says so.
        reason: why, in their words; may be empty.
        request_id: the caller's key for repeating safely; may be empty.
        create_time: when it was stored.
        replaced_preference_id: the annotator's earlier judgement that this one turns round;
            empty where there is none.
    """

    preference_id: str
    task: str
    prompt: str
    chosen: str
    rejected: str
    annotator: str
    reason: str
    request_id: str
    create_time: datetime
    replaced_preference_id: str = ""

    @property
    def pair_hash(self) -> str:
        """What all judgements of a pair share, whichever answer they choose; SHA-256 in hex."""
        answers = sorted((content_hash(self.chosen), content_hash(self.rejected)))
        joined = " ".join((content_hash(self.prompt), *answers))
        return hashlib.sha256(joined.encode()).hexdigest()

    @property
    def prefers_first(self) -> bool:
        """Whether it chooses the answer whose content hash is the smaller."""
        return content_hash(self.chosen) < content_hash(self.rejected)


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt, and who prefers which.

    Attributes:
        prompt_hash: the prompt's `content_hash`.
        pair_hash: see `Preference.pair_hash`.
        votes: one judgement an annotator, oldest first; at least one.
    """

    prompt_hash: str
    pair_hash: str
    votes: tuple[Preference, ...]

    @cached_property
    def counts(self) -> tuple[int, int]:
        """Votes for the answer whose content hash is the smaller, and for the other."""
        first = sum(vote.prefers_first for vote in self.votes)
        return first, len(self.votes) - first

    @property
    def winner(self) -> Preference | None:
        """The oldest vote of the majority; None where as many prefer the one as the other."""
        first, second = self.counts
        if first == second:
            return None
        return next(vote for vote in self.votes if vote.prefers_first is (first > second))


def pairs_of(judgements: Iterable[Preference]) -> list[Pair]:
    """The pairs that were judged, ordered by prompt and pair hash.

    Args:
        judgements: oldest first. Each annotator's latest on a pair is their vote.
    """
    votes: dict[str, dict[str, Preference]] = {}
    for judgement in judgements:
        of_pair = votes.setdefault(judgement.pair_hash, {})
        of_pair.pop(judgement.annotator, None)  # the votes stay in the order of their time
        of_pair[judgement.annotator] = judgement
    pairs = [
        Pair(content_hash(next(iter(of_pair.values())).prompt), pair_hash, tuple(of_pair.values()))
        for pair_hash, of_pair in votes.items()
    ]
    return sorted(pairs, key=lambda pair: (pair.prompt_hash, pair.pair_hash))
