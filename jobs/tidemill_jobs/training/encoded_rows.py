"""Rows as tensors."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class EncodedRows:
    """Rows as tensors.

    Attributes:
        input_ids: int32 of shape [n, sequence_length]; of pairs, [n, sequence_length, 2].
        targets: label indices, int64 of shape [n]; -1 for a label that training has not seen.
        weights: the probability that a row's label is right, float32 of shape [n].
        of_traffic: whether a row's text was a caller's, bool of shape [n].
    """

    input_ids: Tensor
    targets: Tensor
    weights: Tensor
    of_traffic: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def known(self) -> "EncodedRows":
        """Return the rows whose label the model knows."""
        known = self.targets >= 0
        return self.only(known)

    def only(self, rows: Tensor) -> "EncodedRows":
        """Return some of the rows, by their numbers or as a mask."""
        parts = (self.input_ids, self.targets, self.weights, self.of_traffic)
        return EncodedRows(*(part[rows] for part in parts))
