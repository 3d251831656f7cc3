"""How a task's models are trained."""

from typing import Literal

from pydantic import Field

from tidemill_core.settings.section import Section
from tidemill_core.settings.times import MOST_DAYS

NetworkName = Literal["ngram", "transformer", "sentence_encoder"]
"""The networks: the names of the files in `jobs/tidemill_jobs/training/networks/`."""


class PseudoLabelSettings(Section):
    """Which of its own answers a task's models learn from: stored ones, with their texts."""

    min_confidence: float = Field(default=0.9, gt=0, le=1)
    """Lowest confidence of an answer to learn from."""
    max_rows: int = Field(default=10_000, ge=1, le=1_000_000)
    """Most answers in a dataset version. If there are more, it has a random sample of them."""
    days: float = Field(default=365.0, gt=0, le=MOST_DAYS)
    """Age of the oldest answers, in days."""


class TrainingSettings(Section):
    """How a task's models are trained."""

    network: NetworkName = "ngram"
    """The kind of model."""
    hyperparameters: dict[str, int | float] = {}
    """Hyperparameters that differ from the network's defaults, such as `dropout = 0.5`. A search
    varies some of them. `tidemill models show` lists those of a version."""
    trials: int | None = Field(default=None, ge=1, le=10_000)
    """Most trials of the search for better hyperparameters. Without `trials` and `budget_seconds`
    there is no search: the network's defaults are used."""
    budget_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Longest time of the search, in seconds."""
    parallel_trials: int = Field(default=1, ge=1, le=16)
    """Trials at a time. Each uses one core."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of every random choice. The same dataset version, settings and seed give the same
    weights on one machine."""
    follow_audits: bool = False
    """Whether a model expects each class as often as the last year's audits have it, and not as
    often as its training rows do."""
    int8: bool = False
    """Whether weights are rounded to int8, which makes the file a quarter of its size. Needs the
    format `onnx`."""
