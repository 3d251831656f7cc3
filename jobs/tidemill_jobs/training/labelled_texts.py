"""What a model learns from and is measured on: texts with their labels and weights, by split."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from tidemill_core.errors import DataError, TooFewLabels
from tidemill_core.text import TextEncoder
from tidemill_jobs.training.fit import EncodedRows

_PROOF_ROWS = 256


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their labels, one for one.

    Attributes:
        texts: valid Unicode without lone surrogates.
        labels: as many.
        weights: as many, in [0, 1]: the probability that a label is right, as far as is known. 1
            for all where None.
    """

    texts: Sequence[str] = ()
    labels: Sequence[str] = ()
    weights: Sequence[float] | None = None

    def check(self, split: str) -> None:
        """Raise DataError (ROWS_DO_NOT_MATCH) if there are not as many of each."""
        counts = {"texts": len(self.texts), "labels": len(self.labels)}
        if self.weights is not None:
            counts["weights"] = len(self.weights)
        if len(set(counts.values())) > 1:
            found = " and ".join(f"{count} {name}" for name, count in counts.items())
            raise DataError("ROWS_DO_NOT_MATCH", f"{split} has {found}")

    def encode(self, encoder: TextEncoder, labels: Sequence[str]) -> EncodedRows:
        """Return the rows as tensors; a label that is not among `labels` gets the index -1."""
        index = {label: number for number, label in enumerate(labels)}
        return EncodedRows(
            torch.from_numpy(encoder.encode(self.texts)).to(torch.int64),
            torch.tensor([index.get(label, -1) for label in self.labels], dtype=torch.int64),
            torch.ones(len(self.texts))
            if self.weights is None
            else torch.tensor(self.weights, dtype=torch.float32),
        )


@dataclass(frozen=True)
class TrainingData:
    """A dataset version, split.

    Attributes:
        train: what is learned from; it decides the labels.
        validation: for early stopping and calibration; may be empty.
        test: for the measures; may be empty, and may lack or add labels.
    """

    train: LabelledTexts
    validation: LabelledTexts = field(default_factory=LabelledTexts)
    test: LabelledTexts = field(default_factory=LabelledTexts)

    @property
    def proof_texts(self) -> Sequence[str]:
        """What a model must answer alike wherever it runs: the test split, or some of train."""
        return self.test.texts or self.train.texts[:_PROOF_ROWS]

    def labels(self) -> tuple[str, ...]:
        """Return the labels that training knows, sorted.

        Raises:
            DataError: there are no training rows (NO_TRAINING_ROWS), or texts, labels and weights
                do not match (ROWS_DO_NOT_MATCH).
            TooFewLabels: training knows fewer than two labels.
        """
        if not self.train.texts:
            raise DataError("NO_TRAINING_ROWS", "the training split has no rows")
        for name in ("train", "validation", "test"):
            rows: LabelledTexts = getattr(self, name)
            rows.check(name)
        labels = tuple(sorted(set(self.train.labels)))
        if len(labels) < 2:
            raise TooFewLabels(f"the training split has only the label {labels[0]!r}")
        return labels
