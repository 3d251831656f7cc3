"""Combination of functions' votes into labels."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tidemill_jobs.data.deciding.weak_labels.label_model import ABSTAINS, Votes, combine

LABELS = 3
Ints = npt.NDArray[np.int64]


def _votes(truth: Ints, accuracies: list[float], coverage: float) -> Votes:
    """Return votes of independent functions with given coverage and accuracy."""
    chance = np.random.default_rng(0)
    shape = (len(truth), len(accuracies))
    wrong = (truth[:, None] + chance.integers(1, LABELS, shape)) % LABELS
    given = np.where(chance.random(shape) < accuracies, truth[:, None], wrong)
    return np.where(chance.random(shape) < coverage, given, ABSTAINS).astype(np.int16)


def _majority(votes: Votes) -> Ints:
    """Return the label with most votes, or the first of several."""
    return np.array([(votes == label).sum(axis=1) for label in range(LABELS)]).argmax(axis=0)


@pytest.mark.parametrize("shares", [[1 / 3, 1 / 3, 1 / 3], [0.8, 0.15, 0.05]])
def test_a_good_function_outweighs_poor_ones(shares: list[float]) -> None:
    """More labels are right than by majority, about as many as the probabilities say."""
    truth = np.random.default_rng(1).choice(LABELS, 20_000, p=shares)
    votes = _votes(truth, [0.95, 0.55, 0.55, 0.55, 0.55], coverage=0.8)
    best, probability = combine(votes, LABELS)
    known = best != ABSTAINS
    right = best[known] == truth[known]
    assert known.mean() > 0.95
    assert right.mean() > (_majority(votes)[known] == truth[known]).mean() + 0.02
    assert right.mean() == pytest.approx(probability[known].mean(), abs=0.1)


def test_only_labels_that_were_voted_for_are_given() -> None:
    """A text without votes stays unknown, and no text gets a label without a vote."""
    truth = np.random.default_rng(1).choice(LABELS, 5_000, p=[0.9, 0.05, 0.05])
    votes = _votes(truth, [0.6, 0.6, 0.6, 0.6], coverage=0.2)
    best, probability = combine(votes, LABELS)
    known = best != ABSTAINS
    assert not known[(votes == ABSTAINS).all(axis=1)].any()
    assert (votes == best[:, None])[known].any(axis=1).all()
    assert ((probability > 0) == known).all()


def test_equal_votes_have_equal_answers_wherever_they_stand() -> None:
    """The fit of the model is deterministic."""
    votes = _votes(np.arange(900) % LABELS, [0.9, 0.7, 0.6], coverage=0.5)
    first, again = combine(votes, LABELS), combine(votes, LABELS)
    turned = combine(votes[::-1], LABELS)
    for place in range(2):
        assert (first[place] == again[place]).all()
        assert (first[place] == turned[place][::-1]).all()


def _asked(rows: list[list[int]], labels: int) -> list[tuple[Any, ...]]:
    best, probability = combine(np.array(rows, np.int16), labels)
    return list(zip(best.tolist(), probability.tolist(), strict=True))


def test_few_functions_are_weighed_by_their_votes() -> None:
    """One or two functions, or one label: shares of the votes, and no label in a tie."""
    assert _asked([[0], [1], [-1]], 2) == [(0, 1.0), (1, 1.0), (-1, 0.0)]
    assert _asked([[0, 0], [0, 1], [-1, 1]], 2) == [(0, 1.0), (-1, 0.0), (1, 1.0)]
    assert _asked([[0, 0, 0], [-1, -1, 0], [-1, -1, -1]], 1) == [(0, 1.0), (0, 1.0), (-1, 0.0)]
    assert _asked([[0, -1, 0, -1], [0, -1, 1, -1]], 2) == [(0, 1.0), (-1, 0.0)]


def test_many_functions_are_weighed_by_their_votes() -> None:
    """Shares of the votes count if a model would take too long to fit."""
    (answer,) = _asked([[0] * 300 + [1] * 100 + list(range(2, 10))], 10)
    assert answer == (0, pytest.approx(300 / 408))


def test_a_label_that_is_always_outvoted_is_no_error() -> None:
    """Such a label is given to no text."""
    answers = _asked([[0, 0, 2], [1, 1, 2], [0, 0, -1], [-1, 1, 1]] * 50, 3)
    assert [label for label, _ in answers[:4]] == [0, 1, 0, 1]


@pytest.mark.parametrize("votes", [np.empty((0, 3)), np.full((2, 3), -1), np.empty((2, 0))])
def test_where_nobody_votes_nothing_is_known(votes: npt.NDArray[Any]) -> None:
    """No texts, votes or functions give no labels."""
    best, probability = combine(votes.astype(np.int16), 0)
    assert best.tolist() == [ABSTAINS] * len(votes)
    assert probability.tolist() == [0.0] * len(votes)
