"""Many functions' votes on a text's label, made one label with a probability.

Snorkel's LabelModel learns from where the functions agree how often each is right, without any
true label. Texts with the same votes have the same answer, so each pattern of votes is asked once.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemill_core.errors import ConfigurationError

ABSTAINS = -1
"""The vote of a function that does not know."""

_MIN_FUNCTIONS = 3
_MAX_PAIRS = 1_000
"""Of a function and a label. LabelModel's time grows with their square: so many take 40 s."""

_CELLS = 25_000_000
"""Of a dense matrix of texts by pairs, 8 bytes each: what is fitted on, or predicted, at once."""

_EPOCHS = 500
_SEED = 0
_TIE = 1e-5

Votes = npt.NDArray[np.int16]
"""Votes [texts, functions]: a label's number from 0, or ABSTAINS."""
Probabilities = npt.NDArray[np.float64]
"""Of labels, for texts: [texts, labels]."""


def require_snorkel() -> None:
    """Make sure that `combine` can work.

    Raises:
        ConfigurationError: Snorkel is not installed.
    """
    if find_spec("snorkel") is None:
        raise ConfigurationError(
            "labelling functions need Snorkel: pip install 'tidemill[snorkel]', or remove the "
            "task's setting labeling_functions"
        )


def combine(votes: Votes, labels: int) -> tuple[Votes, npt.NDArray[np.float64]]:
    """The most probable label of each text.

    By Snorkel's LabelModel (Ratner et al. 2019, arXiv 1810.02840), which takes functions for
    independent of each other given the label; its prior is how often each label has most votes,
    plus one.
    It needs three functions that vote and two labels. With fewer, or with more than `_MAX_PAIRS`
    pairs of a function and a label, a label's probability is its share of the text's votes.

    Args:
        votes: of all texts, those included that no function knows. The model is fitted on the
            first of them, as many as fit into `_CELLS`: their order should be a random one.
        labels: how many labels there are; each has a vote.

    Returns:
        Label and its probability, [texts] each. ABSTAINS with probability 0 where two labels are
        as probable, or no function voted for the most probable one.
    """
    best, probability = np.full(len(votes), ABSTAINS, np.int16), np.zeros(len(votes))
    voting = votes[:, (votes != ABSTAINS).any(axis=0)]
    known = (votes != ABSTAINS).any(axis=1)
    if not known.any():
        return best, probability
    patterns, places, counts = np.unique(
        voting[known], axis=0, return_inverse=True, return_counts=True
    )
    at_once = max(1, _CELLS // (voting.shape[1] * labels))
    parts = [slice(start, start + at_once) for start in range(0, len(patterns), at_once)]
    model = None
    if voting.shape[1] >= _MIN_FUNCTIONS and 1 < labels <= _MAX_PAIRS // voting.shape[1]:
        most = sum(counts[part] @ _most_voted(patterns[part], labels) for part in parts)
        model = _fitted(voting[:at_once], _shares(most[None] + 1)[0])
    decided = [_decide(patterns[part], labels, model) for part in parts]
    by_pattern, its_probability = map(np.concatenate, zip(*decided, strict=True))
    best[known], probability[known] = by_pattern[places], its_probability[places]
    return best, probability


def _fitted(votes: Votes, prior: npt.NDArray[np.float64]) -> Any:
    """Snorkel's model of the functions; `prior` [labels] is how frequent the labels are."""
    from snorkel.labeling.model import LabelModel  # an extra, and it brings torch

    model = LabelModel(cardinality=len(prior), verbose=False)
    model.fit(
        votes,
        class_balance=prior,
        n_epochs=_EPOCHS,
        optimizer="adam",  # its plain gradient descent diverges with dozens of functions
        seed=_SEED,
        progress_bar=False,
    )
    return model


def _decide(patterns: Votes, labels: int, model: Any) -> tuple[Votes, npt.NDArray[np.float64]]:
    """The label of each pattern and its probability, by the model; by shares if there is none."""
    if model is None:
        probabilities = _shares(_tally(patterns, labels))
    else:
        with np.errstate(invalid="ignore"):  # hundreds of votes: all probabilities round to 0
            probabilities = model.predict_proba(patterns)
    best = probabilities.argmax(axis=1).astype(np.int16)
    rows = np.arange(len(patterns))
    probability = probabilities[rows, best]
    probabilities[rows, best] = 0.0
    leads = probability - probabilities.max(axis=1) > _TIE
    decided = leads & (patterns == best[:, None]).any(axis=1)
    return np.where(decided, best, ABSTAINS).astype(np.int16), np.where(decided, probability, 0.0)


def _tally(patterns: Votes, labels: int) -> Probabilities:
    """How many votes each label has: [patterns, labels]."""
    tally = np.zeros((len(patterns), labels))
    for votes in patterns.T:
        (fired,) = (votes != ABSTAINS).nonzero()
        tally[fired, votes[fired]] += 1
    return tally


def _most_voted(patterns: Votes, labels: int) -> Probabilities:
    """Which label has most votes, shared between those that have as many."""
    tally = _tally(patterns, labels)
    return _shares(tally == tally.max(axis=1, keepdims=True))


def _shares(values: npt.NDArray[Any]) -> Probabilities:
    """Values [patterns, labels] as shares of their row's sum."""
    return np.asarray(values / values.sum(axis=1, keepdims=True), dtype=np.float64)
