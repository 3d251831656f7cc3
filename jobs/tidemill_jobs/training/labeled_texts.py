"""The texts, labels and weights that a model learns from and is measured on, by split."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from tidemill_core.domain.split import Split
from tidemill_core.errors import DataError, TooFewLabels
from tidemill_core.rewards import PAIR_LABELS, pair_sides
from tidemill_core.text import TextEncoder
from tidemill_jobs.training.encoded_rows import EncodedRows

_PROOF_ROWS = 256
_ROWS_AT_ONCE = 10_000
"""Rows to encode at once: the tokenizer's results take a hundred times the memory of the ids."""


@dataclass(frozen=True)
class LabeledTexts:
    """Texts with their labels and weights, in the same order.

    Attributes:
        texts: valid Unicode without lone surrogates; of pairs, see `rewards.pair_text`.
        labels: the label of each text.
        weights: the probability that each label is right, in [0, 1]; None for 1.
        of_traffic: whether each text was a caller's, labeled by users or annotators; None for no.
    """

    texts: Sequence[str] = ()
    labels: Sequence[str] = ()
    weights: Sequence[float] | None = None
    of_traffic: Sequence[bool] | None = None

    def check(self, split: str) -> None:
        """Raise DataError (ROWS_DO_NOT_MATCH) if the lengths differ."""
        counts = {"texts": len(self.texts), "labels": len(self.labels)}
        if self.weights is not None:
            counts["weights"] = len(self.weights)
        if len(set(counts.values())) > 1:
            found = " and ".join(f"{count} {name}" for name, count in counts.items())
            raise DataError("ROWS_DO_NOT_MATCH", f"{split} has {found}")

    def sides(self) -> tuple[list[str], list[str]]:
        """Return the two texts of each pair."""
        both = [pair_sides(text) for text in self.texts]
        return [first for first, _ in both], [second for _, second in both]

    def encode_pairs(self, encoder: TextEncoder) -> EncodedRows:
        """Return pairs as tensors; the targets are indices of `PAIR_LABELS`."""
        rows = [LabeledTexts(side, self.labels, self.weights) for side in self.sides()]
        first, second = (side.encode(encoder, PAIR_LABELS) for side in rows)
        ids = torch.stack([first.input_ids, second.input_ids], dim=2)
        return EncodedRows(ids, first.targets, first.weights, first.of_traffic)

    def encode(self, encoder: TextEncoder, labels: Sequence[str]) -> EncodedRows:
        """Return the rows as tensors; a label that is not in `labels` has the index -1."""
        index = {label: number for number, label in enumerate(labels)}
        input_ids = np.empty((len(self.texts), encoder.sequence_length), np.int32)
        for start in range(0, len(self.texts), _ROWS_AT_ONCE):
            some = slice(start, start + _ROWS_AT_ONCE)
            input_ids[some] = encoder.encode(self.texts[some])
        return EncodedRows(
            torch.from_numpy(input_ids),
            torch.tensor([index.get(label, -1) for label in self.labels], dtype=torch.int64),
            torch.ones(len(self.texts))
            if self.weights is None
            else torch.tensor(self.weights, dtype=torch.float32),
            torch.zeros(len(self.texts), dtype=torch.bool)
            if self.of_traffic is None
            else torch.tensor(self.of_traffic, dtype=torch.bool),
        )


@dataclass(frozen=True)
class TrainingData:
    """The splits of a dataset version.

    Attributes:
        train: the rows to learn from; their labels are the model's labels.
        validation: for early stopping and calibration; may be empty.
        test: for the measures; may be empty, and may have other labels.
        are_pairs: whether the rows are preference pairs.
    """

    train: LabeledTexts
    validation: LabeledTexts = field(default_factory=LabeledTexts)
    test: LabeledTexts = field(default_factory=LabeledTexts)
    are_pairs: bool = False

    @property
    def proof_texts(self) -> Sequence[str]:
        """The texts on which every export must agree: the test split, or some of train."""
        texts = self.test.texts or self.train.texts[:_PROOF_ROWS]
        return [side for text in texts for side in pair_sides(text)] if self.are_pairs else texts

    def texts_of(self, rows: LabeledTexts) -> Sequence[str]:
        """Return the texts of a split as the model reads them."""
        if not self.are_pairs:
            return rows.texts
        first, second = rows.sides()
        return first + second

    def labels(self) -> tuple[str, ...]:
        """Check the splits and return the labels of the rows, sorted.

        Raises:
            DataError: there are no training rows (NO_TRAINING_ROWS), or a split has other numbers
                of texts, labels and weights (ROWS_DO_NOT_MATCH).
            TooFewLabels: the training rows have fewer than two labels.
        """
        if not self.train.texts:
            missing = "preference pairs: submit some" if self.are_pairs else "rows"
            raise DataError("NO_TRAINING_ROWS", f"the training split has no {missing}")
        for split in Split:
            rows: LabeledTexts = getattr(self, split)
            rows.check(split)
        if self.are_pairs:
            return PAIR_LABELS
        labels = tuple(sorted(set(self.train.labels)))
        if len(labels) < 2:
            raise TooFewLabels(f"the training split has only the label {labels[0]!r}")
        return labels
