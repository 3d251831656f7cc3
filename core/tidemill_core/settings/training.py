"""How a task's models are trained."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

NetworkName = Literal["ngram", "transformer", "sentence_encoder"]
"""The networks: the names of the files in `jobs/tidemill_jobs/training/networks/`."""


class TrainingSettings(BaseModel):
    """How a task's models are trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: NetworkName = "ngram"
    """The kind of model."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of every random choice. The same dataset version, settings and seed give the same
    weights on one machine."""
