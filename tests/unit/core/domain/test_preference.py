"""The preferred answer of a pair."""

import random
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.domain.preference import Preference, pairs_of
from tidemill_core.domain.split import content_hash

NOW = datetime(2026, 3, 1, tzinfo=UTC)
QUESTION = "what did I lose?"


def judged(annotator: str, chosen: str, rejected: str, prompt: str = QUESTION) -> Preference:
    """Return a judgement."""
    return Preference("", "", prompt, chosen, rejected, annotator, "", "", NOW)


def test_a_pair_is_the_same_in_either_order_and_writing() -> None:
    """Case, spacing, Unicode form and the chosen answer do not change the pair."""
    one = judged("ana", "a card", "a cat")
    same = judged("ben", "A  cat", "\uff41 card\n", " What did I LOSE? ")
    assert one.pair_hash == same.pair_hash
    assert one.prefers_first is not same.prefers_first
    others = [judged("ana", "a card", "a dog"), judged("ana", "a card", "a cat", "what?")]
    assert one.pair_hash not in {other.pair_hash for other in others}


def test_prompt_and_answer_are_not_exchanged() -> None:
    """A text as the prompt is another pair than the same text as an answer."""
    assert judged("ana", "b", "c", "a").pair_hash != judged("ana", "a", "c", "b").pair_hash


def test_the_majority_wins_with_its_oldest_vote() -> None:
    """With two of three judgements for one answer, the pair's row is the older of those two."""
    against, older = judged("ana", "a cat", "a card"), judged("ben", "a card", "a cat")
    [pair] = pairs_of([against, older, judged("cy", "A card", "a cat")])
    assert pair.winner == older
    assert sorted(pair.counts) == [1, 2]


def test_as_many_for_either_answer_is_a_tie() -> None:
    """A tie has no winner."""
    [pair] = pairs_of([judged("ana", "a card", "a cat"), judged("ben", "a cat", "a card")])
    assert pair.winner is None
    assert pair.counts == (1, 1)


def test_an_annotators_latest_judgement_is_their_vote() -> None:
    """A person who judges again has one vote, with the time of the latest judgement."""
    first, turned = judged("ana", "a card", "a cat"), judged("ana", "a cat", "a card")
    other = judged("ben", "a cat", "a card")
    [pair] = pairs_of([first, other, turned])
    assert pair.votes == (other, turned)
    assert pair.winner == other


@given(st.lists(st.tuples(st.sampled_from("abc"), st.permutations("xyz")), max_size=30))
def test_the_order_of_pairs_is_their_own(judgements: list[tuple[str, list[str]]]) -> None:
    """Pairs are ordered by prompt and pair hash, whatever the order of judgements."""
    given_ones = [
        judged(str(number), answers[0], answers[1], prompt)
        for number, (prompt, answers) in enumerate(judgements)
    ]
    pairs = pairs_of(given_ones)
    shuffled = random.Random(1).sample(given_ones, len(given_ones))
    again = pairs_of(shuffled)
    keys = [(pair.prompt_hash, pair.pair_hash, pair.counts) for pair in pairs]
    assert keys == sorted(keys)
    assert keys == [(pair.prompt_hash, pair.pair_hash, pair.counts) for pair in again]
    assert sum(len(pair.votes) for pair in pairs) == len(given_ones)
    assert all(content_hash(pair.votes[0].prompt) == pair.prompt_hash for pair in pairs)
