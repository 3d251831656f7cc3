"""Preference pairs: which of two answers to a prompt people prefer."""

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
        prompt: the prompt.
        chosen: the better answer.
        rejected: the other answer.
        annotator: who gave the judgement.
        reason: why, in their words; may be empty.
        request_id: the caller's id for safe retries; may be empty.
        create_time: when it was stored.
        replaced_preference_id: the annotator's earlier judgement that this one reverses; empty
            if there is none.
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
        """SHA-256, in hex, that all judgements of a pair share, whichever answer they choose."""
        return _pair_hash(self.prompt, self.chosen, self.rejected)

    @property
    def prefers_first(self) -> bool:
        """Whether it chooses the answer with the smaller content hash."""
        return content_hash(self.chosen) < content_hash(self.rejected)


@dataclass(frozen=True)
class PreferencePair:
    """Two answers to a prompt, for people to judge.

    Attributes:
        task: the task it belongs to; may be empty.
        prompt: the prompt.
        first: the answer with the smaller content hash, so that the order says nothing.
        second: the other answer.
        create_time: when it was stored.
        judgement_count: how many annotators judged it.
    """

    task: str
    prompt: str
    first: str
    second: str
    create_time: datetime
    judgement_count: int = 0

    @property
    def pair_id(self) -> str:
        """The `pair_hash` of its judgements."""
        return _pair_hash(self.prompt, self.first, self.second)

    @property
    def texts(self) -> tuple[str, str, str]:
        """The prompt and the two answers."""
        return self.prompt, self.first, self.second


def pair_of(task: str, prompt: str, answers: tuple[str, str], now: datetime) -> PreferencePair:
    """Return the pair of two answers, in an order that says nothing about them."""
    first, second = sorted(answers, key=content_hash)
    return PreferencePair(task, prompt, first, second, now)


def _pair_hash(prompt: str, *answers: str) -> str:
    joined = " ".join((content_hash(prompt), *sorted(map(content_hash, answers))))
    return hashlib.sha256(joined.encode()).hexdigest()


@dataclass(frozen=True)
class JudgedPair:
    """Two answers to one prompt, and the votes for each.

    Attributes:
        prompt_hash: the prompt's `content_hash`.
        pair_hash: see `Preference.pair_hash`.
        votes: one judgement from each annotator, oldest first; at least one.
    """

    prompt_hash: str
    pair_hash: str
    votes: tuple[Preference, ...]

    @cached_property
    def counts(self) -> tuple[int, int]:
        """Votes for the answer with the smaller content hash, and for the other."""
        first = sum(vote.prefers_first for vote in self.votes)
        return first, len(self.votes) - first

    @property
    def winner(self) -> Preference | None:
        """The oldest vote of the majority; None if the votes tie."""
        first, second = self.counts
        if first == second:
            return None
        return next(vote for vote in self.votes if vote.prefers_first is (first > second))


def pairs_of(judgements: Iterable[Preference]) -> list[JudgedPair]:
    """Return the judged pairs, ordered by prompt hash and pair hash.

    Args:
        judgements: oldest first. Each annotator's latest judgement of a pair is their vote.
    """
    votes: dict[str, dict[str, Preference]] = {}
    for judgement in judgements:
        of_pair = votes.setdefault(judgement.pair_hash, {})
        of_pair.pop(judgement.annotator, None)  # keeps the votes in time order
        of_pair[judgement.annotator] = judgement
    pairs = [
        JudgedPair(
            content_hash(next(iter(of_pair.values())).prompt), pair_hash, tuple(of_pair.values())
        )
        for pair_hash, of_pair in votes.items()
    ]
    return sorted(pairs, key=lambda pair: (pair.prompt_hash, pair.pair_hash))
