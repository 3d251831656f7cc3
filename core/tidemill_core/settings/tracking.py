"""Where trainings are tracked."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TrackerName = Literal["mlflow", "wandb"]
"""The trackers: the names of the files in `jobs/tidemill_jobs/training/trackers/`."""


class TrackingSettings(BaseModel):
    """Where trainings are tracked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trackers: tuple[TrackerName, ...] = ("mlflow",)
    """Every training goes to each of them."""
    wandb_project: str = Field(default="tidemill", min_length=1)
    """Project in Weights & Biases."""
