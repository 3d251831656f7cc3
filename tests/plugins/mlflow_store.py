"""New MLflow stores, each a copy of one that was migrated once, and what MLflow keeps in one."""

import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def mlflow_client(uri: str) -> "MlflowClient":
    """Return a client of a store; the warnings of MLflow's import are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        return MlflowClient(uri)


def new_mlflow_store(path: Path) -> None:
    """Write an empty store in MLflow's current schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_migrated())


@cache
def _migrated() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mlflow.db"
        mlflow_client(f"sqlite:///{path}").search_experiments()
        return path.read_bytes()
