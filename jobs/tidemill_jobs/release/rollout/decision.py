"""The decision of each check: from the state of a rollout and its evidence to the next state."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite

from tidemill_core.counted import counted
from tidemill_core.domain.rollout import BothCounts, RolloutEvidence
from tidemill_core.settings.rollout import RolloutSettings
from tidemill_jobs.release.rollout.ratio import Share, ratio_interval

ERROR_PROBABILITY = 0.05
"""The probability that a version as good as the champion is ever taken for a worse one."""
_EACH = ERROR_PROBABILITY / 3
"""That of each of the three tests: wrong answers, missing answers and slow answers."""
_SLOW_SHARE = 0.01
"""Share of answers that may be above the objective, which is for the 99th percentile."""
_ALL = 100


class Action(StrEnum):
    """What a check does."""

    HOLD = "HOLD"
    ADVANCE = "ADVANCE"
    PROMOTE = "PROMOTE"
    ROLL_BACK = "ROLL_BACK"
    STOP = "STOP"
    """Roll back, but not for what the version did: there is nothing left to compare it with."""


@dataclass(frozen=True)
class Stage:
    """Where a rollout is.

    Attributes:
        start_time: when the rollout started.
        percent: percent of the callers; 0 as shadow.
        since: when it got this percent.
        paused: whether it must not go forward.
        loaded: whether Triton serves the version.
    """

    start_time: datetime
    percent: int
    since: datetime
    paused: bool = False
    loaded: bool = True


@dataclass(frozen=True)
class RolloutDecision:
    """What a check does, and why.

    Attributes:
        action: what it does.
        reason: why.
        percent: the new percent of the callers if it advances.
        figures: what the decision is based on.
    """

    action: Action
    reason: str
    percent: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Findings:
    """The tests' results: ratios of candidate to champion, as low or as high as they can be.

    Attributes:
        wrong: how many times as often the candidate is wrong, lowest and highest.
        answered: how many times as often it answers, highest.
        slow: its answers above the latency objective, as a multiple of 1 % of them, lowest.
    """

    wrong: tuple[float, float]
    answered: float
    slow: float


def decide(
    stage: Stage, evidence: RolloutEvidence, settings: RolloutSettings, now: datetime
) -> RolloutDecision:
    """Return what to do with a version in shadow or canary. It only depends on the arguments.

    Harm rolls it back at any time, also during a pause. Otherwise it goes forward once it had its
    time and answers in this step; the last step also needs proof, or ends undecided.
    """
    found = _test(evidence)
    figures = _figures(found, evidence)
    following = next(step for step in settings.steps if step > stage.percent)
    if harm := _harm(found, evidence, settings.step_answers):
        return RolloutDecision(Action.ROLL_BACK, harm, 0, figures)
    action, reason, percent = Action.HOLD, _waits_for(stage, evidence, settings, now), stage.percent
    if stage.paused:
        reason = "paused"
    elif bound := _bound(stage, evidence, settings, now):
        promote = settings.undecided == "promote" and stage.loaded
        action = Action.PROMOTE if promote else Action.ROLL_BACK
        unloaded = "" if stage.loaded else "; Triton does not serve it"
        reason = f"undecided after {bound}: {_summary(found, evidence)}{unloaded}"
    elif not reason and following < _ALL:
        action, percent = Action.ADVANCE, following
        reason = f"no worse so far: {_summary(found, evidence)}"
    elif not reason and found.wrong[1] < settings.max_wrong_ratio:
        action, reason = Action.PROMOTE, f"good enough: {_summary(found, evidence)}"
    return RolloutDecision(
        action, reason or f"needs more verdicts: {_summary(found, evidence)}", percent, figures
    )


def _test(evidence: RolloutEvidence) -> Findings:
    timed, slow = evidence.timed.candidate, evidence.slow.candidate
    return Findings(
        wrong=ratio_interval(_shares(evidence.wrong), _EACH),
        answered=ratio_interval(_shares(evidence.choices), _EACH)[1],
        slow=ratio_interval([Share(_SLOW_SHARE, slow, timed)], _EACH)[0],
    )


def _shares(counts: Mapping[int, BothCounts]) -> list[Share]:
    return [
        Share(percent / _ALL, pair.candidate, pair.candidate + pair.champion)
        for percent, pair in counts.items()
    ]


def _harm(found: Findings, evidence: RolloutEvidence, least_answers: int) -> str:
    """Return what shows that the candidate is worse than the champion; empty if nothing does."""
    if found.wrong[0] > 1:
        return f"worse: {_summary(found, evidence)}"
    if found.answered < 1:
        return (
            f"calls fail: of the calls that the router gave it, at most {found.answered:.0%} were "
            "answered, compared with the champion's"
        )
    timed = evidence.timed
    if timed.candidate < least_answers or found.slow <= 1:
        return ""
    slow = evidence.slow.candidate / timed.candidate
    usual = evidence.slow.champion / max(timed.champion, 1)
    if slow <= 2 * usual:
        return ""  # the machine is slow, not this version
    return f"slow: {slow:.1%} of its answers, and {usual:.1%} of the champion's, miss the objective"


def _waits_for(
    stage: Stage, evidence: RolloutEvidence, settings: RolloutSettings, now: datetime
) -> str:
    """Return what this step still waits for; empty if it has had its time and answers."""
    if not stage.loaded:
        return "Triton has not loaded it yet"
    answers = evidence.answers.get(stage.percent, 0)
    if answers < settings.step_answers:
        return f"{answers:,} of {counted(settings.step_answers, 'answer')} in this step"
    if now - stage.since < timedelta(hours=settings.step_hours):
        return f"less than {settings.step_hours:g} h in this step"
    return ""


def _bound(
    stage: Stage, evidence: RolloutEvidence, settings: RolloutSettings, now: datetime
) -> str:
    """Return the bound that a rollout has reached; empty if it has reached none."""
    if now - stage.start_time >= timedelta(hours=settings.max_hours):
        return f"{settings.max_hours:g} h"
    answers = _exposed(evidence)
    return counted(answers, "answer") if answers >= settings.max_answers else ""


def _exposed(evidence: RolloutEvidence) -> int:
    """Return how many answers callers got from the candidate."""
    return sum(count for percent, count in evidence.answers.items() if percent)


def _sum(counts: Mapping[int, BothCounts]) -> BothCounts:
    pairs = counts.values()
    return BothCounts(sum(p.candidate for p in pairs), sum(p.champion for p in pairs))


def _summary(found: Findings, evidence: RolloutEvidence) -> str:
    wrong, (low, high) = _sum(evidence.wrong), found.wrong
    if not evidence.judged:
        return "no answer is judged yet"
    if not (wrong.candidate or wrong.champion):
        return f"no answer of {evidence.judged} judged was wrong"
    ratio = f"{low:.2f} to {high:.2f}" if isfinite(high) else f"at least {low:.2f}"
    return (
        f"{counted(wrong.candidate, 'wrong answer')}, and {wrong.champion} of the champion; by the "
        f"shares of callers {ratio} times as often"
    )


def _figures(found: Findings, evidence: RolloutEvidence) -> dict[str, float]:
    wrong = _sum(evidence.wrong)
    figures = {
        "wrong_ratio_low": found.wrong[0],
        "wrong_ratio_high": found.wrong[1],
        "answered_ratio_high": found.answered,
        "answers": _exposed(evidence),
        "copies": evidence.answers.get(0, 0),
        "judged": evidence.judged,
        "wrong": wrong.candidate,
        "champion_wrong": wrong.champion,
        "slow": evidence.slow.candidate,
        "champion_slow": evidence.slow.champion,
        "error_probability": ERROR_PROBABILITY,
    }
    # JSON has no infinity.
    return {name: value for name, value in figures.items() if value != float("inf")}
