"""Which version is champion: promotions, rollbacks and recalls."""

from datetime import UTC

import pytest

from tests.contract.storage.values import NOW, at_once, change, validated
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import FailedPrecondition, IllegalTransition, NoChampion, NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage

TASK = "support"
CHAMPION = ModelState.CHAMPION


def _state(storage: Storage, version: int) -> ModelState:
    return storage.models.get(TASK, version).state


def test_the_first_champion(storage: Storage) -> None:
    """A validated version becomes the first champion, without a previous one."""
    assert storage.models.deployment(TASK) is None
    validated(storage)
    deployment = storage.models.promote(TASK, 1, change())
    assert (deployment.champion, deployment.previous_champion) == (1, 0)
    assert deployment.create_time == NOW
    assert deployment.create_time.tzinfo is UTC
    assert storage.models.deployment(TASK) == deployment
    assert storage.models.deployments() == {TASK: deployment}
    assert _state(storage, 1) is ModelState.CHAMPION


def test_the_next_champion(storage: Storage) -> None:
    """A promotion retires the previous champion, to which a rollback can return."""
    for version in (validated(storage), validated(storage)):
        deployment = storage.models.promote(TASK, version, change())
    assert (deployment.champion, deployment.previous_champion) == (2, 1)
    assert _state(storage, 1) is ModelState.RETIRED


@pytest.mark.parametrize("state", [ModelState.CANDIDATE, ModelState.REJECTED])
def test_untrusted_versions_are_not_promoted(storage: Storage, state: ModelState) -> None:
    """A version that did not pass the gates cannot become champion, and nothing changes."""
    validated(storage)
    before = storage.models.promote(TASK, 1, change())
    storage.models.add_candidate(TASK, "onnx", "d1", NOW)
    if state is ModelState.REJECTED:
        storage.models.judge(TASK, 2, state, {}, "bad", NOW)
    with pytest.raises(IllegalTransition):
        storage.models.promote(TASK, 2, change())
    assert storage.models.deployment(TASK) == before
    assert (_state(storage, 1), _state(storage, 2)) == (ModelState.CHAMPION, state)


def test_a_verdict_can_promote(storage: Storage) -> None:
    """A version that passed becomes champion with its verdict, or neither is stored."""
    judge, passed = storage.models.judge, ModelState.VALIDATED
    for number in (1, 2):
        storage.models.add_candidate(TASK, "onnx", "d1", NOW)
        promotion = change(f"r{number}")
        assert judge(TASK, number, passed, {}, "", NOW, promotion=promotion).state is CHAMPION
    assert _state(storage, 1) is ModelState.RETIRED
    storage.models.add_candidate(TASK, "onnx", "d1", NOW)
    judge(TASK, 3, ModelState.REJECTED, {}, "bad", NOW, promotion=change("r3"))
    assert (_state(storage, 2), _state(storage, 3)) == (CHAMPION, ModelState.REJECTED)


def test_the_champion_is_not_promoted_again(storage: Storage) -> None:
    """Promoting the champion is an illegal step, not a second deployment."""
    validated(storage)
    storage.models.promote(TASK, 1, change())
    with pytest.raises(IllegalTransition):
        storage.models.promote(TASK, 1, change())
    assert len(storage.models.deployments_page(TASK, Page())[0]) == 1


def test_rollback(storage: Storage) -> None:
    """A rollback makes the previous champion answer again, one step back only."""
    for version in (validated(storage), validated(storage)):
        storage.models.promote(TASK, version, change())
    deployment = storage.models.rollback(TASK, change(comment="worse"))
    assert (deployment.champion, deployment.previous_champion) == (1, 0)
    assert _state(storage, 1) is ModelState.CHAMPION
    assert _state(storage, 2) is ModelState.ROLLED_BACK
    assert storage.models.get(TASK, 2).reason == "worse"
    with pytest.raises(FailedPrecondition) as caught:
        storage.models.rollback(TASK, change())
    assert caught.value.reason == "NO_PREVIOUS_CHAMPION"


def test_a_rolled_back_champion_comes_back(storage: Storage) -> None:
    """A rolled-back version can be promoted again only after it is recalled."""
    for version in (validated(storage), validated(storage)):
        storage.models.promote(TASK, version, change())
    storage.models.rollback(TASK, change())
    with pytest.raises(IllegalTransition):
        storage.models.promote(TASK, 2, change())
    assert [one.version for one in storage.models.versions_to_serve(TASK)] == [1]
    before = storage.models.recall(TASK, 2, change("r1", seconds=2))
    assert before is not None
    assert (before.version, before.state) == (2, ModelState.ROLLED_BACK)
    assert _state(storage, 2) is ModelState.VALIDATED
    assert [one.version for one in storage.models.versions_to_serve(TASK)] == [1, 2]
    deployment = storage.models.promote(TASK, 2, change("r1", seconds=3))
    assert (deployment.champion, deployment.previous_champion) == (2, 1)
    assert (_state(storage, 1), _state(storage, 2)) == (ModelState.RETIRED, ModelState.CHAMPION)


def test_a_version_that_newer_ones_passed_over_comes_back(storage: Storage) -> None:
    """An older version, rolled back or never promoted, can follow a newer champion."""
    for _ in range(3):
        validated(storage)
    storage.models.promote(TASK, 1, change())
    storage.models.set_traffic(TASK, Traffic(shadows=(2,)), change())
    storage.models.set_traffic(TASK, Traffic(), change())
    storage.models.promote(TASK, 3, change())
    assert _state(storage, 2) is ModelState.ROLLED_BACK
    for seconds in (1, 3):
        storage.models.recall(TASK, 2, change(seconds=seconds))
        assert [one.version for one in storage.models.versions_to_serve(TASK)] == [1, 2, 3]
        storage.models.set_traffic(TASK, Traffic(), change(seconds=seconds + 1))
        assert [one.version for one in storage.models.versions_to_serve(TASK)] == [1, 3]
    storage.models.recall(TASK, 2, change(seconds=5))
    assert storage.models.promote(TASK, 2, change(seconds=6)).previous_champion == 3


def test_what_cannot_be_champion_is_not_recalled(storage: Storage) -> None:
    """A retired champion, the champion and a candidate do not change."""
    for _ in range(3):
        validated(storage)
    for version in (1, 2):
        storage.models.promote(TASK, version, change())
    storage.models.add_candidate(TASK, "onnx", "d1", NOW)
    before, _ = storage.models.page(TASK, Page())
    for version in (1, 2, 4):
        with pytest.raises(IllegalTransition):
            storage.models.recall(TASK, version, change(seconds=9))
    with pytest.raises(NotFound):
        storage.models.recall(TASK, 9, change())
    assert storage.models.page(TASK, Page())[0] == before


def test_a_refused_promotion_names_what_can_be_promoted(storage: Storage) -> None:
    """A candidate has not passed its gates, and neither a rollback nor a wait helps it."""
    storage.models.add_candidate(TASK, "onnx", "d1", NOW)
    needed = "it must be VALIDATED, SHADOW, CANARY or ROLLED_BACK$"
    with pytest.raises(IllegalTransition, match=needed):
        storage.models.recall(TASK, 1, change())


def test_a_retired_champion_names_the_rollback(storage: Storage) -> None:
    """Only a rollback makes it champion again, so both ways to traffic name that command."""
    for version in (validated(storage), validated(storage)):
        storage.models.promote(TASK, version, change(f"r{version}"))
    with pytest.raises(IllegalTransition, match="CHAMPION; `tidemill models rollback`"):
        storage.models.recall(TASK, 1, change("again"))
    with pytest.raises(IllegalTransition, match=r"SHADOW, .*; `tidemill models rollback`"):
        storage.models.set_traffic(TASK, Traffic({}, (1,)), change("shadow"))


def test_a_repeated_promotion_recalls_nothing(storage: Storage) -> None:
    """A promotion that is repeated after a second rollback does not recall the version."""
    for version in (validated(storage), validated(storage)):
        storage.models.promote(TASK, version, change(f"r{version}"))
    storage.models.rollback(TASK, change())
    assert storage.models.recall(TASK, 2, change("r2", seconds=9)) is None
    assert _state(storage, 2) is ModelState.ROLLED_BACK


def test_no_champion(storage: Storage) -> None:
    """Without a champion there is nothing to roll back and no traffic to share."""
    validated(storage)
    with pytest.raises(NoChampion):
        storage.models.rollback(TASK, change())
    with pytest.raises(NoChampion):
        storage.models.set_traffic(TASK, Traffic(shadows=(1,)), change())
    assert _state(storage, 1) is ModelState.VALIDATED


def test_one_promotion_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """A promotion that eight threads send with one request id happens once."""
    validated(storage)
    stores = [storage.models, second_storage.models]
    answers = at_once(lambda n: stores[n % 2].promote(TASK, 1, change("r1")), range(8))
    assert {one.deployment_id for one in answers} == {answers[0].deployment_id}
    assert len(storage.models.deployments_page(TASK, Page())[0]) == 1
