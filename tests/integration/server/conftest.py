"""Two stacks: one that keeps running for the whole session, and one for outages."""

from collections.abc import Iterator

import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.guarded import Guarded, running_guarded
from tests.plugins.triton import RunningTriton


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return `support` for most tests, and tasks for changes of traffic."""
    versions = {"support": 1, "swapped": 2, "undone": 2, "mixed": 3, "untrained": 0}
    return Workspace(tmp_path_factory.mktemp("workspace"), versions)


@pytest.fixture(scope="session")
def triton(workspace: Workspace) -> Iterator[RunningTriton]:
    """Yield a Triton that serves all of the workspace's versions."""
    root = workspace.repository.root
    with RunningTriton(root, workspace.folder / "triton", workspace.models) as running:
        yield running


@pytest.fixture(scope="session")
def front(workspace: Workspace, triton: RunningTriton) -> Iterator[Front]:
    """Yield a front that no test stops."""
    with Front(workspace, triton.grpc_address) as running:
        yield running


@pytest.fixture(scope="session")
def frail_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return one version of `support`, for tests of outages."""
    return Workspace(tmp_path_factory.mktemp("frail"), {"support": 1})


@pytest.fixture(scope="session")
def frail_triton(frail_workspace: Workspace) -> Iterator[RunningTriton]:
    """Yield a Triton that tests stop and kill; each leaves it running."""
    root, models = frail_workspace.repository.root, frail_workspace.models
    with RunningTriton(root, frail_workspace.folder / "triton", models) as running:
        yield running


@pytest.fixture(scope="session")
def frail_front(frail_workspace: Workspace, frail_triton: RunningTriton) -> Iterator[Front]:
    """Yield the front for outages."""
    with Front(frail_workspace, frail_triton.grpc_address) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, triton: RunningTriton) -> Iterator[Guarded]:
    """Yield a front that requires credentials, and that no test stops."""
    with running_guarded(tmp_path_factory.mktemp("guarded"), triton) as running:
        yield running
