"""The table of rollouts, and the evidence about a candidate."""

import pytest

from tests.contract.storage.values import (
    NOW,
    at_once,
    change,
    judgement,
    label_request,
    later,
    prediction,
    validated,
    verdict,
)
from tidemill_core.domain.labeling import LabelReason
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.rollout import BothCounts, RolloutState
from tidemill_core.domain.traffic import Traffic
from tidemill_core.storage.database import Page
from tidemill_core.storage.rollout_evidence import Comparison, read_evidence
from tidemill_core.storage.rollouts import RolloutRunning
from tidemill_core.storage.storage import Storage

TASK = "support"
COMPARED = Comparison(TASK, candidate=2, champion=1, since=NOW)


def _passed(storage: Storage) -> int:
    """Add a version that passed the gates of a task with rollouts."""
    version = storage.models.add_candidate(TASK, "onnx", "d1", NOW).version
    storage.models.judge(TASK, version, ModelState.VALIDATED, {}, "passed", NOW, rollout=True)
    return version


def _states(storage: Storage) -> dict[int, RolloutState]:
    return {rollout.version: rollout.state for rollout in storage.rollouts.of_task(TASK)}


def test_the_first_champion_needs_no_rollout(storage: Storage) -> None:
    """A version waits for a rollout only if there is a champion to compare it with."""
    assert _passed(storage) == 1
    assert storage.rollouts.unfinished() == set()
    storage.models.promote(TASK, 1, change())
    _passed(storage)
    assert storage.rollouts.unfinished() == {TASK}
    assert _states(storage) == {2: RolloutState.WAITING}


def test_two_rollouts_never_overlap(storage: Storage, second_storage: Storage) -> None:
    """However many processes ask, one rollout runs: the newest that waited; the next one waits."""
    storage.models.promote(TASK, validated(storage), change())
    _passed(storage)
    _passed(storage)
    stores = [storage.rollouts, second_storage.rollouts]
    found = at_once(lambda n: stores[n % 2].current(TASK, later(5)), range(8))
    assert {(each.version, each.champion, each.start_time) for each in found if each} == {
        (3, 1, later(5))
    }
    _passed(storage)
    again = storage.rollouts.current(TASK, later(9))
    assert again is not None
    assert again.version == 3
    assert _states(storage) == {
        2: RolloutState.SKIPPED,
        3: RolloutState.RUNNING,
        4: RolloutState.WAITING,
    }
    storage.rollouts.close(again, RolloutState.PROMOTED, "good", later(10))
    following = storage.rollouts.current(TASK, later(11))
    assert following is not None
    assert following.version == 4


def test_a_version_that_a_person_promoted_gets_no_rollout(storage: Storage) -> None:
    """Its rollout is skipped."""
    storage.models.promote(TASK, validated(storage), change())
    storage.models.promote(TASK, _passed(storage), change())
    assert storage.rollouts.current(TASK, NOW) is None
    assert _states(storage) == {2: RolloutState.SKIPPED}
    assert storage.rollouts.unfinished() == set()


def test_an_approved_version_waits_for_its_rollout(storage: Storage) -> None:
    """Approval starts one rollout, however often it is given."""
    storage.models.promote(TASK, validated(storage), change())
    storage.models.add_candidate(TASK, "onnx", "d1", NOW)
    storage.models.judge(TASK, 2, ModelState.AWAITING_APPROVAL, {}, "passed", NOW, rollout=True)
    assert storage.rollouts.unfinished() == set()
    for _ in range(2):
        storage.models.approve(TASK, 2, change(), rollout=True)
    assert _states(storage) == {2: RolloutState.WAITING}


def test_no_other_canary_during_a_rollout(storage: Storage) -> None:
    """A second canary is refused, because callers could not be compared; another share is not."""
    storage.models.promote(TASK, validated(storage), change())
    _passed(storage)
    other = validated(storage)
    assert storage.rollouts.current(TASK, NOW) is not None
    storage.models.set_traffic(TASK, Traffic(shadows=(2, other)), change())
    with pytest.raises(RolloutRunning, match="version 2 of 'support' is in a rollout"):
        storage.models.set_traffic(TASK, Traffic({2: 5, other: 5}), change())
    storage.models.set_traffic(TASK, Traffic({2: 10}), change())


def test_another_canary_once_a_person_took_the_version_out(storage: Storage) -> None:
    """The way that the refusal names works immediately, before a check has ended the rollout."""
    storage.models.promote(TASK, validated(storage), change())
    _passed(storage)
    other = validated(storage)
    assert storage.rollouts.current(TASK, NOW) is not None
    storage.models.set_traffic(TASK, Traffic(shadows=(2,)), change())
    with pytest.raises(RolloutRunning, match="models traffic support --champion-only"):
        storage.models.set_traffic(TASK, Traffic({other: 5}), change())
    storage.models.set_traffic(TASK, Traffic(), change())
    storage.models.set_traffic(TASK, Traffic(shadows=(other,)), change())
    storage.models.set_traffic(TASK, Traffic({other: 5}), change())
    assert _states(storage) == {2: RolloutState.RUNNING}


def _answer(
    storage: Storage, name: str, version: int, propensity: float, **changes: object
) -> None:
    values = {"model_version": version, "propensity": propensity, **changes}
    storage.predictions.add([prediction(name, **values)])


def test_answers_are_counted_by_the_share_of_the_callers(storage: Storage) -> None:
    """Both versions' answers count by the candidate's percent, and copies count as shadow."""
    _answer(storage, "a", 2, 0.05)
    _answer(storage, "b", 1, 0.95)
    _answer(storage, "c", 1, 0.95, latency_ms=80.0)
    _answer(storage, "d", 2, 0.5, latency_ms=90.0)
    _answer(storage, "e", 2, 1.0, method="Shadow", latency_ms=70.0)
    for name, unlike in {
        "other version": {"model_version": 3},
        "pinned": {"propensity": 1.0},
        "batch": {"method": "BatchPredict"},
        "before": {"predict_time": later(-1)},
        "task": {"task": "other"},
    }.items():
        _answer(storage, name, **{"version": 2, "propensity": 0.5, **unlike})
    found = read_evidence(storage.database, COMPARED, {}, max_latency_ms=50.0)
    assert found.answers == {5: 1, 50: 1, 0: 1}
    assert found.choices == {5: BothCounts(1, 2), 50: BothCounts(1, 0)}
    assert found.timed == BothCounts(3, 2)
    assert found.slow == BothCounts(1, 1)
    assert (found.wrong, found.judged) == ({}, 0)


def test_a_routing_key_counts_once(storage: Storage) -> None:
    """A caller with a key is one choice in its first step, and one wrong answer at most."""
    for number in range(3):
        _answer(storage, f"key{number}", 2, 0.05, routing_key="k", predict_time=later(number))
        _answer(storage, f"free{number}", 2, 0.05)
        storage.feedback.add([verdict(f"key{number}"), verdict(f"free{number}")])
    _answer(storage, "later", 2, 0.25, routing_key="k", predict_time=later(9))
    storage.feedback.add([verdict("later", model_version=2)])
    _answer(storage, "before", 1, 0.95, routing_key="m", predict_time=later(1))
    _answer(storage, "after", 2, 0.25, routing_key="m", predict_time=later(5))
    found = read_evidence(storage.database, COMPARED, {}, max_latency_ms=50.0)
    assert found.answers == {5: 6, 25: 2, 0: 0}
    assert found.choices == {5: BothCounts(4, 1)}
    assert found.wrong == {5: BothCounts(4, 0)}
    assert found.judged == 7


def test_the_latest_verdict_counts(storage: Storage) -> None:
    """A verdict is wrong if it says so or gives another label, by the labels' current names."""
    for name in ("denied", "confirmed", "corrected", "same", "renamed", "changed"):
        _answer(storage, name, 1, 0.75)
    storage.feedback.add(
        [
            verdict("denied", correct=False, label=None),
            verdict("confirmed", correct=True, label=None),
            verdict("corrected"),
            verdict("same", label="card_arrival"),
            verdict("renamed", label="arrival"),
            verdict("changed"),
            verdict("changed", correct=True, label=None, create_time=later(1)),
        ]
    )
    renames = {"card_arrival": "arrival"}
    found = read_evidence(storage.database, COMPARED, renames, max_latency_ms=50.0)
    assert found.wrong == {25: BothCounts(0, 2)}
    assert found.judged == 6


def test_audits_count_more_than_verdicts(storage: Storage) -> None:
    """What people label in an audit decides, and other labels do not count."""
    for name in ("audited", "right", "uncertain"):
        _answer(storage, name, 2, 0.5, text=f"text of {name}")
        audit = LabelReason.UNCERTAIN if name == "uncertain" else LabelReason.AUDIT
        request = label_request(f"text of {name}", reason=audit, origin=name)
        storage.label_items.add([request], 1, NOW)
    storage.feedback.add([verdict("audited", correct=True, label=None), verdict("right")])
    for item in _items(storage):
        label = "card_arrival" if item[1] == "text of right" else "lost_card"
        storage.label_items.submit(TASK, judgement(item[0], label), {})
    found = read_evidence(storage.database, COMPARED, {}, max_latency_ms=50.0)
    assert found.wrong == {50: BothCounts(1, 0)}
    assert found.judged == 2


def _items(storage: Storage) -> list[tuple[str, str]]:
    items, _ = storage.label_items.page(TASK, [], None, Page(), NOW)
    return [(item.label_item_id, item.text) for item in items]
