"""The review of feedback: holds what should not be trusted, and reports attacks.

It runs before everything that learns or decides from feedback: `check_feedback` and every build.
People's labels settle what is held, and a person can release or drop it.
docs/feedback-trust.md has the rules.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidemill_core.counted import counted
from tidemill_core.domain.feedback import (
    FeedbackHold,
    HoldReason,
    HoldState,
    JudgedPrediction,
)
from tidemill_core.settings import FeedbackSettings
from tidemill_core.storage.feedback_holds import FeedbackHoldStore, HoldFilter
from tidemill_core.storage.judged_predictions import judged_predictions
from tidemill_jobs.context import JobContext
from tidemill_jobs.feedback.attack_report import report_attacks
from tidemill_jobs.feedback.bursts import find_bursts
from tidemill_jobs.feedback.contradictions import contradictions
from tidemill_jobs.feedback.reputation import Reputation, reputations

MEMORY = timedelta(days=90)
"""How long a verdict is compared with others. Older ones keep the state that they have."""
PEOPLE = "people's labels"
"""The actor of holds that people's labels settle."""
QUORUM = "other sources"
"""The actor of holds that other sources' verdicts settle."""
_IDS_A_CALL = 500


@dataclass(frozen=True)
class Suspicion:
    """A reason to hold a verdict."""

    verdict: JudgedPrediction
    reason: HoldReason
    label: str
    detail: str


def review_feedback(context: JobContext) -> int:
    """Hold a task's suspicious verdicts, settle what is decided, and report attacks.

    Returns:
        How many verdicts are held now.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    storage, task, now = context.storage, context.task, context.clock()
    settings = context.settings.feedback
    renames = context.task_settings.labels.rename
    judged = judged_predictions(storage.database, task, now - MEMORY, renames)
    sources = reputations(judged)
    suspicions = {each.verdict.feedback_id: each for each in _suspicions(judged, sources, settings)}
    # What is suspicious has no vote on the predictions that others judged as well.
    trusted = [each for each in judged if each.feedback_id not in suspicions]
    decisions = list(contradictions(trusted, settings.trust, settings.quorum))
    for each in decisions:
        if not each.counts and each.verdict.hold is None:
            contested = Suspicion(
                each.verdict, HoldReason.CONTRADICTION, each.verdict.label or "", each.detail
            )
            suspicions[each.verdict.feedback_id] = contested
    holds = storage.feedback_holds
    holds.add([_hold(task, each, now) for each in suspicions.values()])
    held = [each for each in judged if _is_held(each) or each.feedback_id in suspicions]
    for agrees, state in ((True, HoldState.RELEASED), (False, HoldState.DROPPED)):
        settled = [each for each in held if each.agrees is agrees]
        _resolve(holds, task, settled, state, PEOPLE, now)
    accepted = [each.verdict for each in decisions if each.counts and _is_held(each.verdict)]
    _resolve(holds, task, accepted, HoldState.RELEASED, QUORUM, now)
    report_attacks(context, sources)
    return sum(holds.count_held(task).values())


def _is_held(verdict: JudgedPrediction) -> bool:
    return verdict.hold_state is HoldState.HELD


def _is_new(verdict: JudgedPrediction) -> bool:
    """Return whether a verdict is not held yet, or only because others contradict it."""
    weak = verdict.hold is HoldReason.CONTRADICTION and _is_held(verdict)
    return verdict.hold is None or weak


def _suspicions(
    judged: Sequence[JudgedPrediction], sources: dict[str, Reputation], settings: FeedbackSettings
) -> Iterator[Suspicion]:
    """Yield the reasons to hold verdicts; the last one for each verdict counts.

    A verdict that people's label agrees with is not suspicious.
    """
    new = [each for each in judged if _is_new(each) and not each.agrees]
    yield from _over_limit(judged, settings)
    yield from _of_poor_sources(new, sources, settings)
    # A person who releases a verdict of a burst clears its source for that label.
    cleared = {
        (each.source, each.label)
        for each in judged
        if (each.hold, each.hold_state, each.truth) == (HoldReason.BURST, HoldState.RELEASED, None)
    }
    for burst in find_bursts(judged):
        for each in burst.verdicts:
            if _is_new(each) and (each.source, each.label) not in cleared:
                yield Suspicion(each, HoldReason.BURST, burst.label, burst.detail)


def _of_poor_sources(
    new: Sequence[JudgedPrediction], sources: dict[str, Reputation], settings: FeedbackSettings
) -> Iterator[Suspicion]:
    """Yield the verdicts of sources that people's labels contradict too often."""
    poor = {
        source: f"people's labels agree with {reputation.right} of "
        f"{counted(reputation.right + reputation.wrong, 'checked verdict')} of the source"
        for source, reputation in sources.items()
        if source not in settings.trust and reputation.is_below(settings.min_source_agreement)
    }
    for each in new:
        if each.source in poor:
            yield Suspicion(each, HoldReason.REPUTATION, each.label or "", poor[each.source])


def _over_limit(
    judged: Sequence[JudgedPrediction], settings: FeedbackSettings
) -> Iterator[Suspicion]:
    """Yield the verdicts above a named source's daily limit, where others give verdicts too."""
    limit = settings.max_source_verdicts_per_day
    if len({each.source for each in judged}) < 2:
        return
    given: Counter[tuple[str, object]] = Counter()
    for each in judged:
        if not each.source or each.source in settings.trust:
            continue
        day = each.create_time.date()
        given[each.source, day] += 1
        if given[each.source, day] > limit and _is_new(each):
            detail = f"the source gave more than {counted(limit, 'verdict')} on {day}"
            yield Suspicion(each, HoldReason.LIMIT, each.label or "", detail)


def _hold(task: str, suspicion: Suspicion, now: datetime) -> FeedbackHold:
    verdict = suspicion.verdict
    return FeedbackHold(
        feedback_id=verdict.feedback_id,
        task=task,
        source=verdict.source,
        label=suspicion.label,
        reason=suspicion.reason,
        detail=suspicion.detail,
        create_time=now,
    )


def _resolve(
    holds: FeedbackHoldStore,
    task: str,
    verdicts: Sequence[JudgedPrediction],
    state: HoldState,
    actor: str,
    now: datetime,
) -> None:
    for start in range(0, len(verdicts), _IDS_A_CALL):
        ids = [each.feedback_id for each in verdicts[start : start + _IDS_A_CALL]]
        holds.resolve(HoldFilter(task, feedback_ids=ids), state, actor, "", now)
