"""The tables of model versions and deployments."""

from datetime import UTC

import pytest

from tests.contract.storage.values import NOW, at_once, change, later, validated
from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import FailedPrecondition, IllegalTransition, NoChampion, NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage

TASK = "support"


def _state(storage: Storage, version: int) -> ModelState:
    return storage.models.get(TASK, version).state


def test_candidates_are_numbered_per_task(storage: Storage) -> None:
    """Each task numbers its own versions from 1."""
    numbers = [
        storage.models.add_candidate(task, "onnx", "d1", NOW).version
        for task in ("support", "support", "arxiv", "support", "arxiv")
    ]
    assert numbers == [1, 2, 1, 3, 2]


def test_candidates_from_many_threads(storage: Storage, second_storage: Storage) -> None:
    """Concurrent candidates get different numbers, without a gap."""
    stores = [storage.models, second_storage.models]
    added = at_once(lambda n: stores[n % 2].add_candidate(TASK, "onnx", "d1", NOW), range(16))
    assert sorted(version.version for version in added) == list(range(1, 17))


def test_a_candidate_reads_back(storage: Storage) -> None:
    """The returned candidate equals the stored one, in UTC."""
    added = storage.models.add_candidate(TASK, "torchscript", "d1", NOW)
    found = storage.models.get(TASK, 1)
    assert found == added
    assert found.state is ModelState.CANDIDATE
    assert found.create_time.tzinfo is UTC
    assert found.update_time.tzinfo is UTC


CHAMPION = ModelState.CHAMPION


@pytest.mark.parametrize("target", [ModelState.VALIDATED, ModelState.REJECTED])
def test_judge(storage: Storage, target: ModelState) -> None:
    """A judged candidate has its state, measures, reason and time."""
    storage.models.add_candidate(TASK, "onnx", "d1", NOW)
    judged = storage.models.judge(TASK, 1, target, {"accuracy": 0.9}, "because", later(5))
    expected = ModelVersion(
        TASK, 1, "onnx", target, "d1", {"accuracy": 0.9}, "because", NOW, later(5)
    )
    assert judged == expected == storage.models.get(TASK, 1)


def test_what_the_gates_found_stays_with_the_version(storage: Storage) -> None:
    """Verdicts are read in the gates' order, with their figures; an approval is the last one."""
    found = [
        GateResult("loads", GateVerdict.PASSED, None, None, "loaded"),
        GateResult("champion", GateVerdict.FAILED, 0.02, 0.0, "worse", {"lost": [1, 2]}),
        GateResult("golden", GateVerdict.NOT_APPLICABLE, None, None, "none set"),
    ]
    for number in (1, 2):
        storage.models.add_candidate(TASK, "onnx", "d1", NOW)
        target = ModelState.AWAITING_APPROVAL
        storage.models.judge(TASK, number, target, {}, "because", NOW, found[:number])
    assert storage.models.gate_results(TASK, 2) == found[:2]
    assert storage.models.gate_results(TASK, 3) == []
    storage.models.approve(TASK, 1, change())
    expected = GateResult(
        "approval", GateVerdict.PASSED, None, None, "approved by operator: better"
    )
    assert storage.models.gate_results(TASK, 1) == [found[0], expected]


def test_approved(storage: Storage) -> None:
    """An approved version is VALIDATED and names who approved it; a repetition changes nothing."""
    for target in (ModelState.AWAITING_APPROVAL, ModelState.VALIDATED):
        number = storage.models.add_candidate(TASK, "onnx", "d1", NOW).version
        storage.models.judge(TASK, number, target, {}, "because", NOW)
    approved = storage.models.approve(TASK, 1, change(comment="looks right", seconds=5))
    assert (approved.state, approved.approved_by) == (ModelState.VALIDATED, "operator")
    assert approved.reason == "approved by operator: looks right"
    assert storage.models.approve(TASK, 1, change(seconds=9)) == approved
    with pytest.raises(IllegalTransition, match="VALIDATED cannot become approved; it must be"):
        storage.models.approve(TASK, 2, change())


def test_judged_once(storage: Storage) -> None:
    """A rejected version stays rejected, with its measures."""
    storage.models.add_candidate(TASK, "onnx", "d1", NOW)
    storage.models.judge(TASK, 1, ModelState.REJECTED, {"accuracy": 0.1}, "bad", NOW)
    with pytest.raises(IllegalTransition):
        storage.models.judge(TASK, 1, ModelState.VALIDATED, {"accuracy": 0.9}, "good", NOW)
    assert storage.models.get(TASK, 1).measures == {"accuracy": 0.1}


def test_unknown_versions(storage: Storage) -> None:
    """An unknown version number is NotFound in every method."""
    validated(storage)
    storage.models.promote(TASK, 1, change())
    for call in (
        lambda: storage.models.get(TASK, 9),
        lambda: storage.models.get("arxiv", 1),
        lambda: storage.models.judge(TASK, 9, ModelState.VALIDATED, {}, "", NOW),
        lambda: storage.models.promote(TASK, 9, change()),
        lambda: storage.models.set_traffic(TASK, Traffic(shadows=(9,)), change()),
    ):
        with pytest.raises(NotFound, match="model version"):
            call()


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


def test_in_states_and_pages(storage: Storage) -> None:
    """Versions are found by state, oldest first, and listed newest first, by task."""
    for _ in range(3):
        validated(storage)
    validated(storage, "arxiv")
    storage.models.promote(TASK, 2, change())
    wanted = storage.models.in_states(TASK, [ModelState.VALIDATED])
    assert [version.version for version in wanted] == [1, 3]
    rows, _ = storage.models.page(TASK, Page())
    assert [version.version for version in rows] == [3, 2, 1]
    assert len(storage.models.page("", Page())[0]) == 4


def test_tasks_do_not_mix(storage: Storage) -> None:
    """Each task has its own champion."""
    for task in (TASK, "arxiv"):
        validated(storage, task)
        storage.models.promote(task, 1, change())
    storage.models.promote(TASK, validated(storage), change())
    serving = storage.models.serving()
    assert {task: [v.version for v in versions] for task, (_, versions) in serving.items()} == {
        TASK: [1, 2],
        "arxiv": [1],
    }
    assert {task: held for task, (held, _) in serving.items()} == storage.models.deployments()
    assert {task: d.champion for task, d in storage.models.deployments().items()} == {
        TASK: 2,
        "arxiv": 1,
    }


def test_a_version_keeps_why_it_was_trained(storage: Storage) -> None:
    """The reason of its run stays with the version."""
    made = storage.models.add_candidate(TASK, "onnx", "d1", NOW, trained_because="drift")
    assert storage.models.get(TASK, made.version).trained_because == "drift"
