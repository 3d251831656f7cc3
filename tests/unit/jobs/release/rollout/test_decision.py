"""The decision of each check of a rollout."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidemill_core.domain.rollout import BothCounts, RolloutEvidence
from tidemill_core.settings.rollout import RolloutSettings
from tidemill_jobs.release.rollout.decision import Action, RolloutDecision, Stage, decide

START = datetime(2026, 3, 1, tzinfo=UTC)
SETTINGS = RolloutSettings()
NOTHING = RolloutEvidence({}, {}, {}, 0, BothCounts(), BothCounts())
GOOD = RolloutEvidence(
    answers={0: 300, 5: 300, 25: 300, 50: 9_000},
    choices={5: BothCounts(300, 5_700), 25: BothCounts(300, 900), 50: BothCounts(9_000, 9_000)},
    wrong={50: BothCounts(700, 900)},
    judged=18_000,
    timed=BothCounts(9_900, 16_000),
    slow=BothCounts(3, 5),
)
"""Enough answers in each step, and fewer wrong answers than the champion."""


def _at(percent: int, **changes: object) -> Stage:
    return replace(Stage(START, percent, START), **changes)


def _after(
    hours: float, stage: Stage, evidence: RolloutEvidence, settings: RolloutSettings = SETTINGS
) -> RolloutDecision:
    return decide(stage, evidence, settings, START + timedelta(hours=hours))


@pytest.mark.parametrize(("percent", "following"), [(0, 5), (5, 25), (7, 25), (25, 50)])
def test_a_step_ends_after_its_time_and_answers(percent: int, following: int) -> None:
    """It goes to the next step of the settings, also from a share that a person set."""
    evidence = replace(GOOD, answers={**GOOD.answers, percent: 200})
    decision = _after(1, _at(percent), evidence)
    assert (decision.action, decision.percent) == (Action.ADVANCE, following)
    assert _after(0.9, _at(percent), evidence).action is Action.HOLD
    few = replace(GOOD, answers={**GOOD.answers, percent: 199})
    waiting = _after(1, _at(percent), few)
    assert (waiting.action, waiting.reason) == (Action.HOLD, "199 of 200 answers in this step")


def test_the_reason_before_the_first_verdict() -> None:
    """A version that no one has judged yet goes on, and the reason says why without a figure."""
    decision = _after(1, _at(0), replace(NOTHING, answers={0: 200}))
    assert (decision.action, decision.reason) == (
        Action.ADVANCE,
        "no worse so far: no answer is judged yet",
    )


def test_the_reason_without_a_wrong_answer_of_the_champion() -> None:
    """The ratio of wrong answers has no upper bound then, and the reason gives the lower one."""
    wrong = {5: BothCounts(31, 0)}
    decision = _after(1, _at(5), replace(GOOD, wrong=wrong, judged=600))
    assert decision.action is Action.ROLL_BACK
    assert re.search(r"by the shares of callers at least \d+\.\d\d times as often", decision.reason)


def test_the_last_step_needs_proof() -> None:
    """At 50 % it is promoted once it is shown to be good enough, and waits before."""
    assert _after(1, _at(50), GOOD).action is Action.PROMOTE
    undecided = replace(GOOD, wrong={50: BothCounts(70, 70)})
    decision = _after(1, _at(50), undecided)
    assert decision.action is Action.HOLD
    assert decision.reason.startswith("needs more verdicts: 70 wrong answers")


@pytest.mark.parametrize("percent", [0, 5, 50])
@pytest.mark.parametrize("undecided", ["promote", "roll_back"])
def test_undecided_at_the_bound(undecided: str, percent: int) -> None:
    """At the bound of time or of answers, in any step, the task's choice counts."""
    settings = RolloutSettings(undecided=undecided, max_answers=300)
    expected = Action.PROMOTE if undecided == "promote" else Action.ROLL_BACK
    by_time = _after(72, _at(percent), NOTHING, settings)
    assert (by_time.action, by_time.reason.split(":")[0]) == (expected, "undecided after 72 h")
    few = replace(NOTHING, answers={5: 200, 25: 100})
    by_answers = _after(0.1, _at(percent), few, settings)
    assert by_answers.action is expected
    assert by_answers.reason.startswith("undecided after 300 answers")


def test_a_version_that_triton_does_not_serve_is_never_promoted() -> None:
    """It waits, and at the bound it is rolled back whatever the task chose."""
    stage = _at(50, loaded=False)
    assert _after(1, stage, GOOD).reason == "Triton has not loaded it yet"
    assert _after(72, stage, GOOD).action is Action.ROLL_BACK


WORSE = replace(GOOD, wrong={5: BothCounts(30, 200)})
FAILING = replace(GOOD, choices={5: BothCounts(0, 400)})
SLOW = replace(GOOD, timed=BothCounts(300, 5_000), slow=BothCounts(15, 5))


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [(WORSE, "worse: 30 wrong answers"), (FAILING, "calls fail"), (SLOW, "slow: 5.0%")],
)
@pytest.mark.parametrize("paused", [False, True])
def test_harm_rolls_back_at_any_time(evidence: RolloutEvidence, reason: str, paused: bool) -> None:
    """Wrong, missing or slow answers end it in its first minute, also during a pause."""
    decision = _after(0.01, _at(5, paused=paused), evidence)
    assert decision.action is Action.ROLL_BACK
    assert decision.reason.startswith(reason)


def test_a_slow_machine_is_not_the_versions_fault() -> None:
    """Slow answers do not count while the champion's are as slow, nor before enough answers."""
    both = replace(SLOW, slow=BothCounts(15, 200))
    assert _after(0.01, _at(5), both).action is Action.HOLD
    few = replace(SLOW, timed=BothCounts(100, 5_000))
    assert _after(0.01, _at(5), few).action is Action.HOLD


@pytest.mark.parametrize(("hours", "percent"), [(1, 0), (1, 5), (1, 50), (80, 50)])
def test_a_paused_rollout_stays_where_it_is(hours: float, percent: int) -> None:
    """It neither goes forward nor ends at a bound."""
    decision = _after(hours, _at(percent, paused=True), GOOD)
    assert (decision.action, decision.reason, decision.percent) == (Action.HOLD, "paused", percent)
