"""Two stacks: one that keeps running for the whole session, and one for outages."""

import contextlib
import functools
from collections.abc import Callable, Iterator

import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.guarded import Guarded, running_guarded
from tests.plugins.triton import RunningTriton
from tidemill_core.errors import TidemillError


@contextlib.contextmanager
def started(workspace: Workspace, triton: RunningTriton) -> Iterator[Callable[[str], Front]]:
    """Yield fronts by transport; each starts when a test first uses it."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def on(transport: str) -> Front:
            front = Front(workspace, triton.grpc_address, transport=transport)
            return running.enter_context(front)

        yield on


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


@pytest.fixture
def transport() -> str:
    """Return the default; `BOTH_TRANSPORTS` runs a test on each."""
    return "h2corn"


@pytest.fixture(scope="session")
def fronts(workspace: Workspace, triton: RunningTriton) -> Iterator[Callable[[str], Front]]:
    """Yield fronts by transport, which no test stops."""
    with started(workspace, triton) as fronts:
        yield fronts


@pytest.fixture
def front(fronts: Callable[[str], Front], transport: str) -> Front:
    """Return a front that no test stops."""
    return fronts(transport)


@pytest.fixture(scope="session")
def frail_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return one version of `support`, for tests of outages."""
    return Workspace(tmp_path_factory.mktemp("frail"), {"support": 1})


@pytest.fixture(scope="session")
def outages_triton(frail_workspace: Workspace) -> Iterator[RunningTriton]:
    """Yield the Triton behind `frail_triton` and `frail_fronts`."""
    root, models = frail_workspace.repository.root, frail_workspace.models
    with RunningTriton(root, frail_workspace.folder / "triton", models) as running:
        yield running


@pytest.fixture
def frail_triton(outages_triton: RunningTriton) -> RunningTriton:
    """Return a Triton that tests stop and kill; it starts again if it does not serve its models."""
    if outages_triton.process.poll() is not None or not _serves(outages_triton):
        outages_triton.kill()
        outages_triton.start()
    return outages_triton


def _serves(triton: RunningTriton) -> bool:
    with triton.control() as control, contextlib.suppress(TidemillError):
        return bool(control.ready_versions("support-onnx"))
    return False


@pytest.fixture(scope="session")
def frail_fronts(
    frail_workspace: Workspace, outages_triton: RunningTriton
) -> Iterator[Callable[[str], Front]]:
    """Yield the fronts for outages, by transport."""
    with started(frail_workspace, outages_triton) as fronts:
        yield fronts


@pytest.fixture
def frail_front(
    frail_fronts: Callable[[str], Front],
    frail_triton: RunningTriton,  # noqa: ARG001 - asked for so that it runs
    transport: str,
) -> Front:
    """Return the front for outages; its Triton runs."""
    return frail_fronts(transport)


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory, triton: RunningTriton) -> Iterator[Guarded]:
    """Yield a front that requires credentials, and that no test stops."""
    with running_guarded(tmp_path_factory.mktemp("guarded"), triton) as running:
        yield running
