"""Which verdicts are suspicious: reputation, bursts and contradictions."""

import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidemill_core.domain.feedback import HoldReason, HoldState, JudgedPrediction
from tidemill_jobs.feedback.bursts import find_bursts
from tidemill_jobs.feedback.contradictions import contradictions
from tidemill_jobs.feedback.reputation import Reputation, reputations

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LABELS = [f"label {n}" for n in range(20)]


def judged(source: str, label: str | None, **changes: object) -> JudgedPrediction:
    """Return a correction of a prediction of the label `a`."""
    values: dict[str, object] = {
        "feedback_id": uuid.uuid4().hex,
        "prediction_id": "p",
        "source": source,
        "label": label,
        "predicted": "a",
        "confidence": 0.5,
        "truth": None,
        "create_time": NOW,
        "hold": None,
        "hold_state": None,
    }
    return JudgedPrediction(**(values | changes))


def honest(sources: int, each: int, seed: int = 0) -> list[JudgedPrediction]:
    """Return corrections of doubtful predictions, over a month, of labels in equal shares."""
    chance = random.Random(seed)
    return [
        judged(
            f"user {number}",
            chance.choice(LABELS),
            predicted=chance.choice(LABELS),
            confidence=chance.uniform(0.2, 0.9),
            create_time=NOW - timedelta(days=chance.uniform(0, 30)),
        )
        for number in range(sources)
        for _ in range(each)
    ]


def attack(
    per_source: int, label: str | None = "label 1", sources: int = 3, **changes: object
) -> list[JudgedPrediction]:
    """Return verdicts of coordinated sources against confident predictions of one label."""
    values: dict[str, object] = {"predicted": "label 0", "confidence": 0.95} | changes
    return [
        judged(f"bad {number}", label, **values)
        for number in range(sources)
        for _ in range(per_source)
    ]


@pytest.mark.parametrize("per_source", [4, 30, 200])
def test_coordinated_sources_that_flip_a_label_are_found(per_source: int) -> None:
    """Their verdicts are a burst, even where they are most of all corrections; no one else's is."""
    crowd = honest(20, 20)
    bad = attack(per_source)
    found = {id(each) for burst in find_bursts([*crowd, *bad]) for each in burst.verdicts}
    assert found == set(map(id, bad))


@pytest.mark.parametrize(
    "changes",
    [
        {"label": None},
        {"confidence": None},
        {"label": "label 1", "predicted": "another"},
    ],
)
def test_every_way_to_push_one_label_is_found(changes: dict[str, object]) -> None:
    """Denying a label without another, unknown confidence, and corrections toward one label."""
    bad = attack(20, **changes)
    bursts = find_bursts([*honest(20, 20), *bad])
    assert {id(each) for burst in bursts for each in burst.verdicts} == set(map(id, bad))
    assert "3 sources:" in bursts[0].detail


def test_a_label_that_is_taken_away_in_many_ways_is_found() -> None:
    """Corrections of one label to all others are a burst of that label."""
    bad = [replace(each, label=LABELS[number % 19 + 1]) for number, each in enumerate(attack(20))]
    [burst, *_] = find_bursts([*honest(20, 20), *bad])
    assert burst.label == "label 0"
    assert len(burst.verdicts) == 60


def test_a_burst_within_a_day_of_an_otherwise_honest_source_is_found() -> None:
    """A long honest history does not hide a day on which a source pushes one label."""
    crowd = honest(20, 60)
    bad = [replace(each, source="user 3") for each in attack(15, sources=1)]
    found = [each for burst in find_bursts([*crowd, *bad]) for each in burst.verdicts]
    assert {id(each) for each in bad} <= set(map(id, found))
    assert {each.source for each in found} == {"user 3"}


@pytest.mark.parametrize("seed", range(5))
def test_honest_sources_are_not_held(seed: int) -> None:
    """Neither a crowd, nor one with a subject of its own, nor many who follow a new topic."""
    crowd = honest(30, 20, seed)
    assert find_bursts(crowd) == []
    chance = random.Random(seed)
    team = [
        replace(each, source="card team", label=chance.choice(LABELS[:3]))
        for each in honest(3, 20, seed + 100)
    ]
    assert find_bursts([*crowd, *team]) == []
    topic = [replace(each, label="label 7", confidence=0.95) for each in honest(30, 10, seed + 50)]
    assert find_bursts([*crowd, *topic]) == []


@pytest.mark.parametrize("sources", [1, 2, 3])
def test_an_application_is_a_measure_for_a_few_other_sources(sources: int) -> None:
    """Where one application sends what all users say, sources beside it are compared with it."""
    crowd = [replace(each, source="") for each in honest(20, 20)]
    bad = attack(30, sources=sources)
    bursts = find_bursts([*crowd, *bad])
    assert {id(each) for burst in bursts for each in burst.verdicts} == set(map(id, bad))


@pytest.mark.parametrize("source", ["", "app"])
def test_a_single_application_is_never_a_burst(source: str) -> None:
    """Without other sources nothing can be compared, whatever it sends."""
    alone = [replace(each, source=source) for each in [*honest(5, 20), *attack(200)]]
    assert find_bursts(alone) == []


def test_people_clear_a_verdict_of_a_burst() -> None:
    """A verdict that people's label agrees with is not held with the others."""
    bad = attack(10)
    right = replace(bad[0], truth="label 1")
    bursts = find_bursts([*honest(20, 20), right, *bad[1:]])
    assert all(id(right) != id(each) for burst in bursts for each in burst.verdicts)
    assert len(bursts[0].verdicts) == 29


def test_reputation_needs_evidence() -> None:
    """Five wrong verdicts of five are enough to hold a source; four are not, nor one in four."""
    assert Reputation(0, 5).is_below(0.7)
    assert not Reputation(0, 4).is_below(0.7)
    assert not Reputation(75, 25).is_below(0.7)
    assert Reputation(19, 1).agreement == pytest.approx(23 / 25)
    low, high = Reputation(19, 1).interval
    assert low < 0.92 < high


def test_reputation_is_agreement_with_people() -> None:
    """People's labels decide, and otherwise a person's review; the rest says nothing."""
    released = {"hold": HoldReason.BURST, "hold_state": HoldState.RELEASED}
    dropped = {"hold": HoldReason.BURST, "hold_state": HoldState.DROPPED}
    given = [
        judged("ann", "b", truth="b"),
        judged("ann", None, truth="b"),
        judged("ann", "b", truth="c", **released),
        judged("ben", None, truth="a"),
        judged("ben", "b", **dropped),
        judged("ben", "b"),
        judged("cal", "b", **released),
    ]
    assert reputations(given) == {
        "ann": Reputation(2, 1),
        "ben": Reputation(0, 2),
        "cal": Reputation(1, 0),
    }


@pytest.mark.parametrize(
    ("labels", "counted"),
    [
        (["b", "c"], []),
        (["b", "b", "c"], []),
        (["b", "b", "b", "c"], ["b"] * 3),
        (["b", "b"], ["b"] * 2),
        (["b", None], ["b", None]),
        (["a", None], []),
        (["a", "a", "a", None], ["a"] * 3),
        ([None, None], None),
    ],
)
def test_contradictory_verdicts_need_a_quorum(
    labels: list[str | None], counted: list[str | None] | None
) -> None:
    """A label counts if two more sources give it than any other; agreement always counts."""
    given = [judged(f"s{number}", label) for number, label in enumerate(labels)]
    decided = list(contradictions(given, {}, 2))
    if counted is None:
        assert decided == []
        return
    assert [each.verdict.label for each in decided if each.counts] == counted
    assert len(decided) == len(labels)


def test_who_has_no_vote() -> None:
    """What is dropped or suspicious does not vote; what is held for a contradiction does."""
    lone = judged("ann", "b", hold=HoldReason.CONTRADICTION, hold_state=HoldState.HELD)
    bad = judged("bad", "c", hold=HoldReason.BURST, hold_state=HoldState.HELD)
    gone = judged("ben", "c", hold=HoldReason.CONTRADICTION, hold_state=HoldState.DROPPED)
    [decided] = contradictions([lone, bad, gone], {}, 2)
    assert (decided.verdict, decided.counts) == (lone, True)


def test_people_and_trust_decide_contradictions() -> None:
    """People's label beats any number of sources; a source counts as much as it is trusted."""
    crowd = [judged(f"s{n}", "b", truth="c") for n in range(5)]
    decided = list(contradictions([*crowd, judged("ann", "c", truth="c")], {}, 2))
    assert [each.counts for each in decided] == [False] * 5 + [True]
    three = [judged(f"s{n}", "b") for n in range(3)]
    decided = list(contradictions([*three, judged("x", "c")], {"s0": 0.5}, 2))
    assert not any(each.counts for each in decided)


def _caught(crowd: list[JudgedPrediction], bad: list[JudgedPrediction]) -> bool:
    """Return whether exactly the bad verdicts are found."""
    bursts = find_bursts([*crowd, *bad])
    return {id(each) for burst in bursts for each in burst.verdicts} == set(map(id, bad))


@pytest.mark.parametrize("sources", [5, 12])
def test_more_sources_are_found_too(sources: int) -> None:
    """A dozen of coordinated sources among forty are found."""
    assert _caught(honest(40, 20), attack(20, sources=sources))


def test_a_slow_attack_is_found() -> None:
    """An attack over a month is as visible as one within a day."""
    chance = random.Random(1)
    slow = [
        replace(each, create_time=NOW - timedelta(days=chance.uniform(0, 30)))
        for each in attack(10)
    ]
    assert _caught(honest(40, 20), slow)


def test_an_attack_on_doubtful_predictions_is_found() -> None:
    """If one label is most of what sources say, it does not matter how confident the model was."""
    doubtful = [replace(each, confidence=0.3) for each in attack(15)]
    assert _caught(honest(40, 20), doubtful)


def test_honest_verdicts_do_not_hide_an_attack() -> None:
    """Sources that are honest in most of their verdicts are found by the others."""
    cover = [replace(each, source=f"bad {n % 3}") for n, each in enumerate(honest(3, 20, 7))]
    assert _caught([*honest(40, 20), *cover], attack(10))


def test_an_attack_on_one_of_two_labels_is_found() -> None:
    """Where there are only two labels, everyone gives each of them often."""
    both = [replace(each, label=LABELS[n % 2]) for n, each in enumerate(honest(20, 20))]
    assert _caught(both, attack(30))


def test_many_honest_sources_are_not_held() -> None:
    """Among hundreds of sources, chance alone makes none look coordinated."""
    assert find_bursts(honest(300, 40)) == []
