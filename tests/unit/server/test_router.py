"""Routes from a real database and repository."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.integration.server.front import NOW, Workspace
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import FailedPrecondition, InvalidArgument, NoChampion
from tidemill_core.settings import TaskSettings
from tidemill_core.storage.deployments import Change, record_deployment
from tidemill_server.inference.router import Router

CHANGE = Change("ann", "", "", NOW)
SETTINGS = TaskSettings.model_validate({"sources": [{"path": "x.csv"}]})
TASKS = {"support": SETTINGS, "untrained": SETTINGS}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return two tasks, one of them untrained."""
    return Workspace(tmp_path, {"support": 3, "untrained": 0})


@pytest.fixture
def refreshed(workspace: Workspace) -> Callable[[], Awaitable[Router]]:
    """Return a router that has read the current deployments."""
    router = Router(workspace.storage.models, workspace.repository, TASKS)

    async def refresh() -> Router:
        await router.refresh()
        return router

    return refresh


async def test_all_versions_that_triton_has_may_be_asked(
    refreshed: Callable[[], Awaitable[Router]],
) -> None:
    """The champion answers by default, and waiting versions by number."""
    router = await refreshed()
    assert router.choose("support", 0, "").model.version == 1
    assert router.choose("support", 3, "").model.version == 3
    assert router.choose("support", 3, "").propensity == 1.0
    with pytest.raises(InvalidArgument, match="these are: 1, 2, 3"):
        router.choose("support", 4, "")
    with pytest.raises(NoChampion):
        router.choose("untrained", 0, "")
    with pytest.raises(InvalidArgument, match="there are: support, untrained"):
        router.choose("other", 0, "")
    with pytest.raises(InvalidArgument, match="name the task; there are: support, untrained"):
        router.choose("", 0, "")


async def test_traffic_follows_the_database(
    workspace: Workspace, refreshed: Callable[[], Awaitable[Router]]
) -> None:
    """Canaries and shadows are used from the next refresh."""
    models = workspace.storage.models
    models.set_traffic("support", Traffic(shadows=(2, 3)), CHANGE)
    models.set_traffic("support", Traffic({2: 40}, (3,)), CHANGE)
    router = await refreshed()
    choices = [router.choose("support", 0, f"u{i}") for i in range(200)]
    assert {(c.model.version, round(c.propensity, 3)) for c in choices} == {(1, 0.6), (2, 0.4)}
    assert {shadow.version for choice in choices for shadow in choice.shadows} == {3}
    assert router.choose("support", 2, "u1").shadows == ()


async def test_a_known_version_is_not_loaded_again(
    workspace: Workspace, refreshed: Callable[[], Awaitable[Router]]
) -> None:
    """A refresh keeps the tokenizers of known versions."""
    before = (await refreshed()).choose("support", 1, "").model
    workspace.storage.models.promote("support", 2, CHANGE)
    router = await refreshed()
    assert router.choose("support", 0, "").model.version == 2
    assert router.choose("support", 1, "").model is before


async def test_a_damaged_champion_leaves_what_held(
    workspace: Workspace, refreshed: Callable[[], Awaitable[Router]]
) -> None:
    """While the new champion's files cannot be read, the old one answers."""
    second = workspace.repository.folder("support", "onnx", 2) / "manifest.json"
    second.write_text("{")
    fresh = await refreshed()
    assert fresh.choose("support", 0, "").model.version == 1
    with pytest.raises(InvalidArgument):
        fresh.choose("support", 2, "")  # it does not answer callers yet, so it is only left out
    workspace.storage.models.promote("support", 2, CHANGE)
    assert (await refreshed()).choose("support", 0, "").model.version == 1


@pytest.mark.parametrize("content", [None, b"{"])
async def test_a_champion_that_cannot_be_read_costs_no_other_version(
    workspace: Workspace, refreshed: Callable[[], Awaitable[Router]], content: bytes | None
) -> None:
    """The task reports an unreadable champion, unless an earlier one can answer."""
    path = workspace.repository.folder("support", "onnx", 1) / "tokenizer.json"
    whole = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FailedPrecondition) as refused:
        (await refreshed()).choose("support", 0, "")
    assert refused.value.reason == "CHAMPION_UNREADABLE"
    path.write_bytes(whole)
    assert (await refreshed()).choose("support", 0, "").model.version == 1
    third = workspace.repository.folder("support", "onnx", 3) / "tokenizer.json"
    third.write_bytes(b"{")
    workspace.storage.models.promote("support", 3, CHANGE)
    assert (await refreshed()).choose("support", 0, "").model.version in {1, 3}  # 3 is known by now


@pytest.mark.parametrize(("champion", "canaries"), [(9, {}), (1, {9: 50})])
async def test_what_is_routed_to_nowhere_leaves_what_held(
    workspace: Workspace,
    refreshed: Callable[[], Awaitable[Router]],
    champion: int,
    canaries: dict[int, int],
) -> None:
    """A deployment with an unknown champion or canary is not used."""
    await refreshed()
    with workspace.storage.database.write() as connection:
        record_deployment(connection, "support", (champion, 1), (canaries, ()), CHANGE)
    router = await refreshed()
    versions = {router.choose("support", 0, f"u{i}").model.version for i in range(50)}
    assert versions == {1}


async def test_refreshes_that_wait_share_one_read(
    refreshed: Callable[[], Awaitable[Router]],
) -> None:
    """A hundred callers with stale routes do not read a hundred times."""
    router = await refreshed()

    before = router.reads
    await asyncio.gather(*(router.refresh() for _ in range(100)))
    assert router.reads - before <= 2
