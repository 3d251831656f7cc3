"""The seam between the confined process and the formats of models."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

IDS, MASK, TOKEN_TYPES = "input_ids", "attention_mask", "token_type_ids"
"""The inputs that a model may have; it must have the first."""
EXPECTED_INPUTS = f"{IDS}, and optionally {MASK} and {TOKEN_TYPES}, of [batch, length]"
OUTPUT_NAMES = ("logits", "probabilities")
"""The names of the output to take, where a model has several."""
LAST_LAYER = "last_layer"
"""In place of a format: a published model, opened up to its last layer."""
SMALLEST = 1e-12
"""The smallest probability whose logarithm is taken."""
FRAME = "!Q"
"""Before each message of the confined process: the length of its JSON line."""


@dataclass(frozen=True)
class Vocabulary:
    """The token ids of a model.

    Attributes:
        size: ids lie in [0, size).
        padding_id: the id that fills rows.
    """

    size: int
    padding_id: int


@dataclass(frozen=True)
class Calibration:
    """What turns a model's output into calibrated probabilities.

    Attributes:
        are_probabilities: whether the output is probabilities, whose logarithms are logits.
        temperature: by which the logits are divided.
        labels: the number of columns.
    """

    are_probabilities: bool
    temperature: float
    labels: int


class ForeignModel(Protocol):
    """An opened model of one format. Each method may raise ModelRefused, or any other error."""

    @property
    def fixed_length(self) -> int | None:
        """The only number of ids in a row that it takes; None if it takes any."""

    def answer(self, input_ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return its output for encoded rows: [rows, length] -> [rows, outputs]."""

    def wrapped(self, calibration: Calibration) -> bytes:
        """Return a model file with the input and output of Tidemill's models."""
