"""The tables of model versions and deployments."""

from datetime import UTC

import pytest

from tests.contract.storage.values import NOW, at_once, change, later, validated
from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import IllegalTransition, NotFound
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


@pytest.mark.parametrize("target", [ModelState.VALIDATED, ModelState.REJECTED])
def test_judge(storage: Storage, target: ModelState) -> None:
    """A judged candidate has its state, measures, reason and time."""
    storage.models.add_candidate(TASK, "onnx", "d1", NOW)
    judged = storage.models.judge(TASK, 1, target, {"accuracy": 0.9}, "because", later(5))
    expected = ModelVersion(
        *(TASK, 1, "onnx", target, "d1", {"accuracy": 0.9}, "because", NOW, later(5)),
        judge_time=later(5),
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
    assert approved.judge_time == later(5)
    assert storage.models.approve(TASK, 1, change(seconds=9)) == approved
    with pytest.raises(IllegalTransition, match="VALIDATED cannot become approved; it must be"):
        storage.models.approve(TASK, 2, change())


def test_rejected_by_a_person(storage: Storage) -> None:
    """Who rejected a version that waited, and why, is kept; a repetition changes nothing."""
    for target in (ModelState.AWAITING_APPROVAL, ModelState.VALIDATED, ModelState.REJECTED):
        number = storage.models.add_candidate(TASK, "onnx", "d1", NOW).version
        storage.models.judge(TASK, number, target, {}, "because", NOW)
    rejected = storage.models.reject(TASK, 1, change(comment="worse", seconds=5))
    assert (rejected.state, rejected.reason) == (
        *(ModelState.REJECTED, "rejected by operator: worse"),
    )
    assert (rejected.judge_time, rejected.approved_by) == (later(5), "")
    assert storage.models.gate_results(TASK, 1)[-1] == GateResult(
        "approval", GateVerdict.FAILED, None, None, "rejected by operator: worse"
    )
    assert storage.models.reject(TASK, 1, change(seconds=9)) == rejected
    assert storage.models.versions_to_serve(TASK) == [storage.models.get(TASK, 2)]
    for number in (2, 3):
        with pytest.raises(IllegalTransition, match="cannot become rejected; it must be"):
            storage.models.reject(TASK, number, change())
    with pytest.raises(IllegalTransition):
        storage.models.approve(TASK, 1, change())


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
