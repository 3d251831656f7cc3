"""A candidate: a published version, and what is known about it besides its files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from tidemill_core.domain.job import RETRAIN
from tidemill_core.domain.model import ModelVersion
from tidemill_jobs.training.evaluate import Measures

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Candidate:
    """A published version that the gates judge.

    Attributes:
        version: its row in the catalog.
        labels: the labels, in the order of its output.
        measures: its measures on the hold-out, offline.
        offline: answers n texts without Triton: float32 [n, labels].
        made_by: the job that made it.
        original: the torch module that was exported; None for a model that was made elsewhere.
        unrounded: the torch module before its weights were rounded to int8; None if they were not.
    """

    version: ModelVersion
    labels: Sequence[str]
    measures: Measures
    offline: Callable[[Sequence[str]], Probabilities]
    made_by: str = RETRAIN
    original: nn.Module | None = None
    unrounded: nn.Module | None = None
