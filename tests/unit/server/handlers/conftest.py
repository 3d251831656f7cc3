"""Fixtures for handlers: a workspace, its routes and its signer."""

from pathlib import Path

import pytest

from tests.integration.server.asking import TASKS
from tests.integration.server.front import Workspace
from tidemill_core.prediction_id import PredictionIdSigner, load_keys
from tidemill_server.inference.router import Router


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace whose task `support` has two versions."""
    return Workspace(tmp_path, {"support": 2})


@pytest.fixture
async def router(workspace: Workspace) -> Router:
    """Return a router that has read the workspace's routes."""
    router = Router(workspace.storage.models, workspace.repository, TASKS)
    await router.refresh()
    return router


@pytest.fixture
def signer(workspace: Workspace) -> PredictionIdSigner:
    """Return a signer with the workspace's keys."""
    return PredictionIdSigner(load_keys(workspace.folder / "var"))
