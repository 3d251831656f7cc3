"""The statistics of preference judgements."""

from datetime import UTC, datetime

import pytest

from tidemill_cli.preference_statistics import statistics_of
from tidemill_core.domain.preference import JudgedPair, Preference, pairs_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def judged(prompt: str, votes: str) -> list[Preference]:
    """Return judgements of one pair: each letter of `votes` is one annotator's choice, x or y."""
    return [
        Preference("", "", prompt, chosen, {"x": "y", "y": "x"}[chosen], f"a{n}", "", "", NOW)
        for n, chosen in enumerate(votes)
    ]


def pairs(*votes: str) -> list[JudgedPair]:
    """Return a pair for each argument; see `judged`."""
    return pairs_of([each for n, given in enumerate(votes) for each in judged(f"p{n}", given)])


def test_each_pair_is_counted_where_it_belongs() -> None:
    """Five pairs of eleven votes: a single vote, two unanimous, a tie and a majority."""
    found = statistics_of(pairs("x", "xx", "yy", "xy", "xxxy"), judgements=13)
    assert (found.judgements, found.votes, found.annotators) == (13, 11, 4)
    assert (found.prompts, found.pairs, found.ties) == (5, 5, 1)
    assert (found.judged_by_several, found.agreed, found.disagreed) == (4, 2, 2)
    assert found.agreement == 0.5


def test_alpha_is_krippendorffs() -> None:
    """Four pairs of two votes, one of them split, by hand: alpha = 1 - (n - 1) o_xy / (n_x n_y)."""
    o_xy, n_x, n_y, n = 1, 5, 3, 8
    found = statistics_of(pairs("xx", "xx", "yy", "xy"), judgements=8)
    assert found.alpha == pytest.approx(1 - (n - 1) * o_xy / (n_x * n_y))


def test_pairs_that_one_annotator_judged_do_not_change_alpha() -> None:
    """A single vote can neither agree nor disagree."""
    alone = statistics_of(pairs("xx", "yy", "xy", "x", "x", "x"), judgements=9)
    assert alone.alpha == statistics_of(pairs("xx", "yy", "xy"), judgements=6).alpha


@pytest.mark.parametrize("votes", [(), ("x", "y"), ("xx", "xx")])
def test_alpha_that_cannot_be_known_is_none(votes: tuple[str, ...]) -> None:
    """Without two votes on a pair, or without variance, alpha is None, without a warning."""
    found = statistics_of(pairs(*votes), judgements=len(votes))
    assert found.alpha is None
    assert (found.agreement is None) == (found.judged_by_several == 0)


def test_full_agreement_is_one() -> None:
    """If all agree and the answers vary, alpha is 1."""
    assert statistics_of(pairs("xx", "yyy"), judgements=5).alpha == 1.0
