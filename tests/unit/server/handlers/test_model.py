"""Approvals and promotions of versions."""

import pytest

from tests.integration.server.front import NOW, Workspace
from tidemill_core.domain.model import ModelState
from tidemill_core.errors import IllegalTransition, InvalidArgument, VersionNotLoaded
from tidemill_core.settings import FilesSource, TaskSettings
from tidemill_core.settings.rollout import RolloutSettings
from tidemill_server.handlers.model import ModelHandler, NewChange
from tidemill_server.inference.router import Router


def handler_of(workspace: Workspace, router: Router, *, loads: bool = True) -> ModelHandler:
    """Return a handler whose Triton loads every version, or none."""

    async def is_loaded(_name: str, _version: int) -> bool:
        return loads

    storage = workspace.storage
    stores = storage.pauses, storage.tracked_runs
    return ModelHandler(storage.models, router, lambda: NOW, is_loaded, *stores, load_seconds=0.2)


async def test_an_approved_version_becomes_champion(workspace: Workspace, router: Router) -> None:
    """Its approver is kept; a repetition changes nothing, and no other version can be approved."""
    models = workspace.storage.models
    waiting = models.add_candidate("support", "onnx", "d", NOW).version
    models.judge("support", waiting, ModelState.AWAITING_APPROVAL, {}, "passed", NOW)
    handler = handler_of(workspace, router)
    change = NewChange("support", "bob", "looks right", "")
    approved = await handler.approve(change, waiting)
    assert (approved.state, approved.approved_by) == (ModelState.CHAMPION, "bob")
    assert await handler.approve(change, waiting) == approved
    with pytest.raises(IllegalTransition):
        await handler.approve(change, 2)


async def test_a_version_is_rejected_with_a_reason(workspace: Workspace, router: Router) -> None:
    """The champion stays; without a reason, the call is refused and nothing changes."""
    models = workspace.storage.models
    before = models.deployment("support")
    waiting = models.add_candidate("support", "onnx", "d", NOW).version
    models.judge("support", waiting, ModelState.AWAITING_APPROVAL, {}, "passed", NOW)
    handler = handler_of(workspace, router)
    with pytest.raises(InvalidArgument) as refused:
        await handler.reject(NewChange("support", "bob", " ", ""), waiting)
    assert (refused.value.reason, refused.value.field) == ("BLANK_TEXT", "comment")
    assert models.get("support", waiting).state is ModelState.AWAITING_APPROVAL
    change = NewChange("support", "bob", "worse on refunds", "")
    rejected = await handler.reject(change, waiting)
    assert (rejected.state, rejected.reason) == (
        *(ModelState.REJECTED, "rejected by bob: worse on refunds"),
    )
    assert await handler.reject(change, waiting) == rejected
    assert models.deployment("support") == before


async def test_an_approved_version_waits_for_its_rollout(workspace: Workspace) -> None:
    """Where the task has a rollout, approval makes no champion, however often it is given."""
    storage = workspace.storage
    task = TaskSettings(sources=[FilesSource(path="x.csv")], rollout=RolloutSettings())
    router = Router(storage.models, workspace.repository, {"support": task})
    waiting = storage.models.add_candidate("support", "onnx", "d", NOW).version
    storage.models.judge("support", waiting, ModelState.AWAITING_APPROVAL, {}, "passed", NOW)
    handler = handler_of(workspace, router)
    for _ in range(2):
        approved = await handler.approve(NewChange("support", "bob", "", ""), waiting)
        assert approved.state is ModelState.VALIDATED
    assert [each.version for each in storage.rollouts.of_task("support")] == [waiting]


async def test_a_version_that_triton_does_not_load_does_not_become_champion(
    workspace: Workspace, router: Router
) -> None:
    """The call waits and then fails; the old champion stays."""
    models = workspace.storage.models
    before = models.deployment("support")
    waiting = models.add_candidate("support", "onnx", "d", NOW).version
    models.judge("support", waiting, ModelState.VALIDATED, {}, "passed", NOW)
    handler = handler_of(workspace, router, loads=False)
    with pytest.raises(VersionNotLoaded, match="promote it again"):
        await handler.promote(NewChange("support", "bob", "", ""), waiting)
    assert models.deployment("support") == before
