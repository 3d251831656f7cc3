"""The seam of the trackers: what a service that trainings are tracked in must offer.

A tracker is one file in `trackers/`, whose `SERVICE` opens the service, and its name in
`tidemill_core.settings.tracking.TrackerName`.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from tidemill_jobs.training.tracking import TrackedRun


@dataclass(frozen=True)
class ServiceConfig:
    """Where a service is.

    Attributes:
        location: MLflow's tracking URI, or the project in Weights & Biases.
        folder: a folder for its files, which exists.
    """

    location: str
    folder: Path


class TrackingService(Protocol):
    """A service in a process of its own, which is killed after some time.

    Every method may raise any error of the service's SDK: the run is sent again later.
    """

    def send(self, run: TrackedRun) -> str:
        """Send a whole run, and return its URL or its folder.

        If an earlier attempt was interrupted, this one must not leave a second run.
        """

    def set_champion(self, task: str, model_version: int) -> None:
        """Show which version of a task is its champion."""


def load_service(name: str, config: ServiceConfig) -> TrackingService:
    """Open a tracker by its name in the settings; its file is imported now.

    Raises:
        ImportError: the tracker needs an extra that is not installed.
    """
    module = importlib.import_module(f"tidemill_jobs.training.trackers.{name}")
    return cast("Callable[[ServiceConfig], TrackingService]", module.SERVICE)(config)
