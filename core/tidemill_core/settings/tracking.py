"""Where trainings are tracked."""

from importlib.metadata import entry_points
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from tidemill_core.settings.section import Section

TrackerName = Literal["mlflow", "wandb"]
"""The trackers: the names of the files in `jobs/tidemill_jobs/training/trackers/`."""
_MLFLOW_SCHEMES = frozenset(
    {"databricks", "databricks-uc", "file", "http", "https", "uc"}
    | {"mssql", "mysql", "postgresql", "sqlite"}
)
"""The schemes that MLflow knows without plugins; those of databases may name a driver."""


def mlflow_uri(uri: str) -> str:
    """Return MLflow's tracking URI; it may be empty.

    Raises:
        ValueError: MLflow and its installed plugins do not know the scheme, or a server's URL has
            no host.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme and scheme not in _MLFLOW_SCHEMES and scheme not in _plugins():
        raise ValueError(
            f"MLflow knows no scheme {scheme!r}: write a URL such as https://mlflow.example.com "
            "or postgresql://…, or a folder"
        )
    if scheme.startswith("http") and not parts.hostname:
        raise ValueError("must name a host, such as https://mlflow.example.com")
    return uri


def _plugins() -> set[str]:
    """Return the schemes of MLflow's plugins; reading all installed packages takes 30 ms."""
    return entry_points(group="mlflow.tracking_store").names


class TrackingSettings(Section):
    """Where trainings are tracked."""

    trackers: tuple[TrackerName, ...] = ("mlflow",)
    """Every training goes to each of them."""
    wandb_project: str = Field(default="tidemill", min_length=1)
    """Project in Weights & Biases."""
