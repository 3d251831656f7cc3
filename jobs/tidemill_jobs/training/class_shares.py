"""The class shares of today's traffic, by recent audits, and a model's adaptation to them.

If only the shares of the classes change, Bayes' rule says how a calibrated model's probabilities
change: each is multiplied by its class's share now, divided by its share in training, and the sum
is scaled to 1 (Saerens et al. 2002, https://doi.org/10.1162/089976602753284446). Audits are random
texts of the traffic, so the shares of their labels are today's.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tidemill_jobs.training.classifier import CalibratedClassifier
from tidemill_jobs.training.fit import answers_of

PRIOR_AUDITS = 50
"""How many audits the shares in training count for, so that few audits change little."""
_SAMPLE = 5000
"""Training rows whose answers show how often a model expects each class."""

Audits = Mapping[str, float]
"""How many audits have each label, weighted so that each class has its share of the traffic."""


def weighted_audits(labels: Iterable[tuple[str, float]]) -> Audits:
    """Return the audits by label, from each audit's label and the probability of being drawn.

    The sum is Kish's effective number of audits.
    """
    weights: dict[str, list[float]] = defaultdict(list)
    for label, probability in labels:
        weights[label].append(1 / probability)
    total = sum(map(sum, weights.values()))
    squares = sum(weight * weight for some in weights.values() for weight in some)
    return {label: sum(some) * total / squares for label, some in sorted(weights.items())}


def odds(
    labels: Sequence[str], probabilities: npt.NDArray[np.float32], audits: Audits
) -> npt.NDArray[np.float32]:
    """Return the factor of each label's probability: float32 [labels].

    Args:
        labels: the model's labels.
        probabilities: its answers to training texts, or a sample of them: [n, labels].
        audits: the audits; those of labels that the model does not know do not count.
    """
    before = probabilities.mean(axis=0, dtype=np.float64)
    counts = np.array([audits.get(label, 0.0) for label in labels])
    now = (counts + PRIOR_AUDITS * before) / (counts.sum() + PRIOR_AUDITS)
    found: npt.NDArray[np.float32] = (now / before).astype(np.float32)
    return found


def adapt(
    classifier: CalibratedClassifier, labels: Sequence[str], input_ids: Tensor, audits: Audits
) -> tuple[CalibratedClassifier, Mapping[str, float]]:
    """Return the classifier that follows the audits' class shares, and its odds by label.

    Args:
        classifier: the classifier as it was trained.
        labels: its labels.
        input_ids: the training rows.
        audits: the audits; empty returns the classifier as it is, without odds.
    """
    if not audits:
        return classifier, {}
    some = input_ids[:: math.ceil(len(input_ids) / _SAMPLE)]
    found = odds(labels, answers_of(classifier, some).numpy(), audits)
    adapted = CalibratedClassifier(
        classifier.network, classifier.temperature, torch.from_numpy(found)
    )
    return adapted, dict(zip(labels, found.tolist(), strict=True))


def as_in_traffic(
    probabilities: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    odds: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return held-out rows as the adapted model meets them in today's traffic.

    Args:
        probabilities: the answers as trained, [n, labels].
        targets: label indices, [n]; -1 is a label that the model does not know.
        odds: the factors of the adaptation, [labels].

    Returns:
        The adapted answers, and how many texts of the traffic each row stands for.
    """
    weights = np.where(targets < 0, np.float32(1), odds[targets])
    return without_odds(probabilities, 1 / odds), weights


def without_odds(
    probabilities: npt.NDArray[np.float32], odds: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return the probabilities of a model without its adaptation: float32 [n, labels]."""
    found = probabilities / odds
    plain: npt.NDArray[np.float32] = found / found.sum(axis=1, keepdims=True)
    return plain
