"""What MLflow keeps, read with its own client."""

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def mlflow_client(uri: str) -> "MlflowClient":
    """Return a client of a store; the warnings of MLflow's import are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        return MlflowClient(uri)
