"""A workspace, and what handlers over it share."""

from pathlib import Path

import pytest

from tests.integration.server.asking import TASKS
from tests.integration.server.front import Workspace
from tidemill_core.prediction_id import PredictionIdSigner, load_keys
from tidemill_server.inference.router import Router


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """The task `support`, with two versions."""
    return Workspace(tmp_path, {"support": 2})


@pytest.fixture
async def router(workspace: Workspace) -> Router:
    """Routes as they are now."""
    router = Router(workspace.storage.models, workspace.repository, TASKS)
    await router.refresh()
    return router


@pytest.fixture
def signer(workspace: Workspace) -> PredictionIdSigner:
    """Signs with the workspace's keys."""
    return PredictionIdSigner(load_keys(workspace.folder / "var"))
