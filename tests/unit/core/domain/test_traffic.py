"""The shares of the traffic."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.domain.model import Deployment, ModelState, ModelVersion
from tidemill_core.domain.traffic import Traffic, plan_traffic, route, versions_to_serve

NOW = datetime(2026, 3, 1, tzinfo=UTC)
S = ModelState
CALLERS = [f"caller {number}" for number in range(20_000)]


def _deployment(
    canaries: Mapping[int, int] | None = None, shadows: tuple[int, ...] = (), task: str = "support"
) -> Deployment:
    return Deployment(1, task, 5, 4, canaries or {}, shadows, "a", "", NOW)


def _version(version: int, state: ModelState) -> ModelVersion:
    return ModelVersion("support", version, "onnx", state, "d", {}, "", NOW, NOW)


def test_without_canaries_the_champion_answers() -> None:
    """All callers get the champion, with propensity 1; shadows answer no caller."""
    deployment = _deployment(shadows=(7,))
    assert {route(deployment, caller) for caller in CALLERS[:100]} == {(5, 1.0)}


@pytest.mark.parametrize(
    "canaries", [{6: 1}, {6: 10}, {6: 50}, {6: 99}, {6: 10, 7: 20}, {7: 98, 6: 1}]
)
def test_shares(canaries: dict[int, int]) -> None:
    """Each version gets its share of callers, and the propensity is that share."""
    shares = {version: percent / 100 for version, percent in canaries.items()}
    shares[5] = 1 - sum(shares.values())
    counts: Counter[int] = Counter()
    for caller in CALLERS:
        version, propensity = route(_deployment(canaries), caller)
        assert propensity == pytest.approx(shares[version])
        counts[version] += 1
    for version, share in shares.items():
        assert counts[version] / len(CALLERS) == pytest.approx(share, abs=0.015)


@given(st.text(), st.integers(1, 99))
def test_sticky(key: str, percent: int) -> None:
    """A caller gets the same version each time, with a propensity in (0, 1]."""
    deployment = _deployment({6: percent})
    version, propensity = route(deployment, key)
    assert route(deployment, key) == (version, propensity)
    assert 0 < propensity <= 1


def test_a_growing_canary_keeps_its_callers() -> None:
    """Callers who had the canary at 10 % have it at 50 % too."""
    for caller in CALLERS[:2000]:
        if route(_deployment({6: 10}), caller)[0] == 6:
            assert route(_deployment({6: 50}), caller)[0] == 6


def test_tasks_split_independently() -> None:
    """The choice for one task is independent of the choice for another."""
    both = sum(
        route(_deployment({6: 50}), caller)[0] == route(_deployment({6: 50}, task="a"), caller)[0]
        for caller in CALLERS
    )
    assert both / len(CALLERS) == pytest.approx(0.5, abs=0.02)


def test_known_callers_stay_where_they_are() -> None:
    """The rule never changes: a release of Tidemill moves no caller to another version."""
    found = [route(_deployment({6: 50}), f"caller {number}")[0] for number in range(12)]
    assert found == [6, 5, 6, 6, 6, 5, 6, 6, 6, 5, 5, 5]


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        (Traffic(), Traffic(), []),
        (Traffic(), Traffic(shadows=(6, 7)), [(6, S.SHADOW), (7, S.SHADOW)]),
        (Traffic(shadows=(6,)), Traffic({6: 10}), [(6, S.CANARY)]),
        (Traffic({6: 10}), Traffic({6: 50}), []),
        (Traffic({6: 10}), Traffic(), [(6, S.ROLLED_BACK)]),
        (Traffic(shadows=(6,)), Traffic(), [(6, S.ROLLED_BACK)]),
        (Traffic({6: 10}), Traffic(shadows=(6,)), [(6, S.SHADOW)]),
        (
            Traffic({6: 10}, (7, 8)),
            Traffic({8: 10}, (9,)),
            [(6, S.ROLLED_BACK), (7, S.ROLLED_BACK), (9, S.SHADOW), (8, S.CANARY)],
        ),
    ],
)
def test_plan_traffic(before: Traffic, after: Traffic, steps: list[tuple[int, ModelState]]) -> None:
    """A version that leaves is rolled back, a new one gets its state, and others do not change."""
    assert plan_traffic(before, after) == steps


def test_versions_to_serve() -> None:
    """The champion, the one before, canaries, shadows and newer validated versions are loaded."""
    versions = [_version(number, S.VALIDATED) for number in (2, 8)]
    versions += [_version(9, S.REJECTED), _version(10, S.CANDIDATE), _version(1, S.RETIRED)]
    assert versions_to_serve(_deployment({6: 10}, (7,)), versions) == {4, 5, 6, 7, 8}


def test_versions_to_serve_before_the_first_champion() -> None:
    """Without a champion, versions that passed the gates are loaded, so one can be promoted."""
    versions = [_version(1, S.REJECTED), _version(2, S.VALIDATED), _version(3, S.CANDIDATE)]
    assert versions_to_serve(None, versions) == {2}


def test_no_version_zero() -> None:
    """A champion without a predecessor is served alone."""
    deployment = Deployment(1, "support", 1, 0, {}, (), "a", "", NOW)
    assert versions_to_serve(deployment, []) == {1}
