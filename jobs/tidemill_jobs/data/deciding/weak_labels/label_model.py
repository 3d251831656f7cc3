"""Combination of many functions' votes on a text into one label with a probability.

Snorkel's LabelModel learns the accuracy of each function from agreements between them, without true
labels. Texts with equal votes have the same result, so each pattern of votes is computed once.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation

ABSTAINS = -1
"""The vote of a function that abstains."""

_MIN_FUNCTIONS = 3
_MAX_PAIRS = 1_000
"""Maximum number of pairs of a function and a label. LabelModel's time grows with its square: this
number takes 40 s."""

_CELLS = 25_000_000
"""Cells, 8 bytes each, of the dense matrix of texts by pairs that one fit or prediction uses."""

_EPOCHS = 500
_SEED = 0
_TIE = 1e-5

Votes = npt.NDArray[np.int16]
"""Votes [texts, functions]: a label's number from 0, or ABSTAINS."""
Probabilities = npt.NDArray[np.float64]
"""Probabilities of labels [texts, labels]."""


def require_snorkel() -> None:
    """Raise ConfigurationError if Snorkel, which `combine` needs, is not installed."""
    if find_spec("snorkel") is None:
        raise ConfigurationError(
            f"labeling functions need Snorkel: {installation('snorkel')}, or remove the task's "
            "setting labeling_functions"
        )


def combine(votes: Votes, labels: int) -> tuple[Votes, npt.NDArray[np.float64]]:
    """Return the most probable label of each text.

    The model is Snorkel's LabelModel (Ratner et al. 2019, arXiv 1810.02840), which assumes that
    functions are independent given the label. Its prior is the number of texts for which each label
    has most votes, plus one. It needs three functions that vote and two labels. With fewer, or with
    more than `_MAX_PAIRS` pairs, a label's probability is its share of the text's votes.

    Args:
        votes: votes on all texts, including texts without a vote. The model is fitted on the first
            texts that fit into `_CELLS`, so their order should be random.
        labels: number of labels; each has a vote.

    Returns:
        Label and its probability, [texts] each. ABSTAINS with probability 0 if two labels are
        equally probable, or no function voted for the most probable one.
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
    """Return Snorkel's fitted model; `prior` [labels] has the frequencies of the labels."""
    from snorkel.labeling.model import LabelModel  # an extra, which imports torch

    model = LabelModel(cardinality=len(prior), verbose=False)
    model.fit(
        votes,
        class_balance=prior,
        n_epochs=_EPOCHS,
        optimizer="adam",  # plain gradient descent diverges with dozens of functions
        seed=_SEED,
        progress_bar=False,
    )
    return model


def _decide(patterns: Votes, labels: int, model: Any) -> tuple[Votes, npt.NDArray[np.float64]]:
    """Return each pattern's label and probability, from the model or, without one, by shares."""
    if model is None:
        probabilities = _shares(_tally(patterns, labels))
    else:
        with np.errstate(invalid="ignore"):  # with hundreds of votes, probabilities round to 0
            probabilities = model.predict_proba(patterns)
    best = probabilities.argmax(axis=1).astype(np.int16)
    rows = np.arange(len(patterns))
    probability = probabilities[rows, best]
    probabilities[rows, best] = 0.0
    leads = probability - probabilities.max(axis=1) > _TIE
    decided = leads & (patterns == best[:, None]).any(axis=1)
    return np.where(decided, best, ABSTAINS).astype(np.int16), np.where(decided, probability, 0.0)


def _tally(patterns: Votes, labels: int) -> Probabilities:
    """Return the number of votes for each label: [patterns, labels]."""
    tally = np.zeros((len(patterns), labels))
    for votes in patterns.T:
        (fired,) = (votes != ABSTAINS).nonzero()
        tally[fired, votes[fired]] += 1
    return tally


def _most_voted(patterns: Votes, labels: int) -> Probabilities:
    """Return 1 for the label with most votes, shared between labels in a tie."""
    tally = _tally(patterns, labels)
    return _shares(tally == tally.max(axis=1, keepdims=True))


def _shares(values: npt.NDArray[Any]) -> Probabilities:
    """Return values [patterns, labels] as shares of their row's sum."""
    return np.asarray(values / values.sum(axis=1, keepdims=True), dtype=np.float64)
