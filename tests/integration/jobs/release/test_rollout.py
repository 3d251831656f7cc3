"""Rollouts with a real front, a real Triton, and the job that watches them."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.jobs.release.rollouts import TASK, RolledOut, Watched
from tests.integration.server.front import Front
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill_core.clock import Clock
from tidemill_core.domain.alert import Alert
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.pause import ReleasePause
from tidemill_core.domain.rollout import RolloutState
from tidemill_core.domain.traffic import Traffic
from tidemill_core.storage.database import Page
from tidemill_core.storage.deployments import Change

CANARY = Traffic(canaries={3: 5})


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Version 1 is champion, and version 2 waits for its rollout."""
    workspace = RolledOut(tmp_path)
    root = workspace.repository.root
    with (
        RunningTriton(root, tmp_path / "triton", workspace.models) as triton,
        Front(workspace, triton.grpc_address) as front,
    ):
        yield Watched(workspace, triton, front)


def _rollout(watched: Watched) -> tuple[RolloutState, str]:
    [found] = watched.workspace.storage.rollouts.of_task(TASK)
    return found.state, found.reason


def _alerts(watched: Watched) -> list[Alert]:
    return watched.workspace.storage.alerts.page(TASK, False, False, Page())[0]


def test_a_good_version_becomes_champion_step_by_step(watched: Watched) -> None:
    """It is shadow, then answers 5, 25 and 50 % of the callers, then all of them."""
    assert watched.check()["decision"] == "ADVANCE"
    assert (watched.state(), watched.deployment.shadows) == (ModelState.SHADOW, (2,))
    assert watched.check()["decision"] == "HOLD"
    watched.wait_routed()
    watched.copies_until_enough()
    for percent in (5, 25, 50):
        assert watched.check()["decision"] == "ADVANCE"
        assert watched.deployment.canaries == {2: percent}
        watched.wait_routed()
        answered = watched.answers_until_enough(lambda version: version == 2)
        # 20 answers of the canary: far fewer or far more calls are impossible by chance.
        assert 20 * 100 / percent / 3 < len(answered) < 20 * 100 / percent * 3
    assert watched.check()["decision"] == "PROMOTE"
    assert (watched.state(), watched.deployment.champion) == (ModelState.CHAMPION, 2)
    state, reason = _rollout(watched)
    assert state is RolloutState.PROMOTED
    assert reason.startswith("good enough: 0 wrong answers")
    assert _alerts(watched) == []
    assert watched.check()["decision"] == "NOTHING"


def test_a_bad_version_is_rolled_back_within_one_check(watched: Watched) -> None:
    """One check after the evidence, only the champion answers, and someone is alerted."""
    watched.check()
    watched.wait_routed()
    watched.copies_until_enough()
    watched.check()
    watched.wait_routed()
    watched.answers_until_enough(lambda version: version == 1)
    result = watched.check()
    assert result["decision"] == "ROLL_BACK"
    assert watched.state() is ModelState.ROLLED_BACK
    assert (watched.deployment.champion, watched.deployment.canaries) == (1, {})
    assert _rollout(watched) == (RolloutState.ROLLED_BACK, result["reason"])
    [alert] = _alerts(watched)
    assert (alert.kind, alert.message) == ("rollout", f"version 2: rolled back; {result['reason']}")
    took = wait_until(lambda: {watched.ask().model_version for _ in range(50)} == {1}, "only 1")
    assert took < 5


def test_killed_at_each_step(watched: Watched) -> None:
    """Killed between any two transactions, the task has a champion and the next check goes on.

    These are the checks that start the rollout, give it callers and make it champion.
    """
    _die_everywhere(watched)
    assert watched.state() is ModelState.SHADOW
    watched.wait_routed()
    watched.copies_until_enough()
    _die_everywhere(watched)
    assert watched.deployment.canaries == {2: 5}
    for _ in range(2):
        watched.wait_routed()
        watched.answers_until_enough(lambda version: version == 2)
        watched.check()
    assert watched.deployment.canaries == {2: 50}
    watched.wait_routed()
    watched.answers_until_enough(lambda version: version == 2)
    _die_everywhere(watched)
    assert watched.state() is ModelState.CHAMPION
    assert _rollout(watched)[0] is RolloutState.PROMOTED


def test_killed_while_it_rolls_back(watched: Watched) -> None:
    """Killed between any two transactions, the version is rolled back, with one alert."""
    watched.check()
    watched.wait_routed()
    watched.copies_until_enough()
    watched.check()
    watched.wait_routed()
    watched.answers_until_enough(lambda version: version == 1)
    _die_everywhere(watched)
    assert (watched.state(), watched.deployment.champion) == (ModelState.ROLLED_BACK, 1)
    assert _rollout(watched)[0] is RolloutState.ROLLED_BACK
    [alert] = _alerts(watched)
    assert alert.message.startswith("version 2: rolled back; worse: ")


def _die_everywhere(watched: Watched) -> None:
    """Kill one check after the other, each one transaction later, until one ends."""
    before = watched.deployment.champion
    with watched.dying_checks() as check_and_die:
        for transaction in range(1, 20):
            if not check_and_die(transaction):
                assert transaction > 5
                return
            assert watched.deployment.champion in (before, 2)
            assert watched.ask().label
    raise AssertionError("a check has more transactions than expected")


def test_a_champion_that_changes_ends_the_rollout(watched: Watched) -> None:
    """If a person makes another version champion, the comparison has lost its ground."""
    watched.check()
    models, now = watched.workspace.storage.models, datetime.now(UTC)
    models.promote(TASK, 2, Change("ann", "it is urgent", "", now))
    assert watched.check()["decision"] == "ENDED"
    assert _rollout(watched) == (RolloutState.PROMOTED, "it is urgent")
    models.rollback(TASK, Change("ann", "it is wrong", "", now))
    models.recall(TASK, 2, Change("ann", "", "", now))
    watched.workspace.let_wait(2)
    assert watched.check()["decision"] == "HOLD"
    wait_until(lambda: watched.check()["decision"] == "ADVANCE", "all fronts have noticed")
    assert watched.state() is ModelState.SHADOW
    models.set_traffic(TASK, Traffic(), Change("ann", "not now", "", now))
    assert watched.check()["decision"] == "ENDED"
    [second, _first] = watched.workspace.storage.rollouts.of_task(TASK)
    assert (second.state, second.reason) == (RolloutState.ROLLED_BACK, "not now")
    models.recall(TASK, 2, Change("ann", "", "", now))
    watched.workspace.let_wait(2)
    wait_until(lambda: watched.check()["decision"] == "ADVANCE", "all fronts have noticed")
    models.add_candidate(TASK, "onnx", "d1", now)
    models.judge(TASK, 3, ModelState.VALIDATED, {}, "passed", now)
    models.promote(TASK, 3, Change("ann", "it is better", "", now))
    assert watched.check()["decision"] == "STOP"
    assert watched.state() is ModelState.ROLLED_BACK
    assert _alerts(watched) == []


def test_a_paused_rollout_does_not_start(watched: Watched) -> None:
    """It starts with the first check after the pause."""
    pauses = watched.workspace.storage.pauses
    pauses.pause(ReleasePause(TASK, "ann", "holiday", datetime.now(UTC)))
    assert watched.check()["reason"] == "paused"
    assert watched.state() is ModelState.VALIDATED
    pauses.resume(TASK)
    watched.check()
    assert watched.state() is ModelState.SHADOW


def test_a_check_holds_when_a_person_sets_a_canary_meanwhile(watched: Watched) -> None:
    """Whenever during a check the canary comes, it stays, and the rollout waits."""
    watched.workspace.publish(TASK)
    models = watched.workspace.storage.models
    ann = Change("ann", "", "", datetime.now(UTC))
    for moment in range(3):  # the check reads the clock when it begins, decides and acts
        models.set_traffic(TASK, Traffic(shadows=(3,)), ann)
        result = watched.check(_clock_with(moment, lambda: models.set_traffic(TASK, CANARY, ann)))
        assert result["decision"] == "HOLD"
        assert result["reason"] == "waits until the canaries that a person set are gone"
        assert watched.traffic == CANARY
        assert watched.state() is ModelState.VALIDATED
        models.set_traffic(TASK, Traffic(), ann)
        models.recall(TASK, 3, ann)
    assert watched.check(_clock_with(0, lambda: None))["decision"] == "ADVANCE"
    assert watched.state() is ModelState.SHADOW


def _clock_with(moment: int, act: Callable[[], object]) -> Clock:
    """Return a clock, ten seconds late, that acts when it is read for the n-th time."""
    reads = itertools.count()

    def clock() -> datetime:
        if next(reads) == moment:
            act()
        return datetime.now(UTC) + timedelta(seconds=10)

    return clock
