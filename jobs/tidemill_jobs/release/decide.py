"""The way of a published candidate: through the gates, into traffic or out of Triton."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import stamina
import structlog

from tidemill_core.clock import Clock
from tidemill_core.counted import counted
from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.domain.pause import ReleasesPaused
from tidemill_core.errors import TritonUnavailable
from tidemill_core.rewards import REWARD_LABELS
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.models import ModelStore
from tidemill_core.storage.pauses import PauseStore
from tidemill_core.storage.predictions import Span
from tidemill_core.triton.served import is_whole
from tidemill_jobs.context import JobContext, Result, part
from tidemill_jobs.release.candidate import Candidate
from tidemill_jobs.release.gates.registry import judge
from tidemill_jobs.release.serving import Serving, serve
from tidemill_jobs.release.trial import TaskLimits, Trial
from tidemill_jobs.training.labeled_texts import TrainingData

TRITON_READY_SECONDS = 60.0
TRIALS = 3
"""How often a candidate is tried if Triton dies during the trial."""
REPLAYED_TEXTS = 200
REPLAYED = timedelta(days=7)
"""How far back the texts of callers may be that the gates on speed send again."""

NO_APPROVAL = GateResult(
    "approval", GateVerdict.NOT_APPLICABLE, None, None, "the task asks for no approval"
)

Slices = Mapping[str, npt.NDArray[np.bool_]]

log = structlog.get_logger()


def release(
    context: JobContext, candidate: Candidate, data: TrainingData, slices: Slices
) -> Result:
    """Judge a published candidate by the gates, and promote it if it passes all of them.

    Args:
        context: the run's surroundings.
        candidate: the version, in the state CANDIDATE.
        data: the rows of its dataset version.
        slices: parts of the test split, each as whether a row is in it.

    Raises:
        TritonUnavailable: Triton stayed away during the trial; the candidate is REJECTED.
        RunCanceled: someone asked the run to stop; the candidate is REJECTED.
    """
    with rejected_on_failure(context.storage.models, candidate.version, context.clock):
        results = judged(context, candidate, data, slices)
    return _settle(context, candidate, results)


def refuse_paused(pauses: PauseStore, task: str) -> None:
    """Raise ReleasesPaused if a task's releases are paused."""
    if (pause := pauses.get(task)) is not None:
        raise ReleasesPaused(pause)


@contextmanager
def rejected_on_failure(models: ModelStore, version: ModelVersion, clock: Clock) -> Iterator[None]:
    """Reject a candidate if the block ends with an exception."""
    try:
        yield
    except BaseException as error:
        cause = str(error) or type(error).__name__
        _reject(models, version, f"could not be tested: {cause}", clock())
        raise


def reject_abandoned(models: ModelStore, task: str, now: datetime) -> None:
    """Reject the candidates of runs that died."""
    for left in models.in_states(task, [ModelState.CANDIDATE]):
        _reject(models, left, "its run ended before it was judged", now)


def _reject(models: ModelStore, version: ModelVersion, reason: str, now: datetime) -> None:
    """Reject a candidate without the gates' verdicts."""
    models.judge(version.task, version.version, ModelState.REJECTED, {}, reason, now)


def judged(
    context: JobContext, candidate: Candidate, data: TrainingData, slices: Slices
) -> list[GateResult]:
    """Ask all gates, and ask them again if Triton dies: that is not the model's fault."""
    for attempt in stamina.retry_context(on=TritonUnavailable, attempts=TRIALS, timeout=None):
        with attempt:
            context.progress(0.91, "waiting for Triton")
            context.triton.wait_ready(TRITON_READY_SECONDS)
            context.progress(0.92, "testing the candidate in Triton")
            trial = _trial(context, candidate, data, slices)
            results = judge(trial, part(context.progress, 0.92, 1.0))
    return results


def _trial(context: JobContext, candidate: Candidate, data: TrainingData, slices: Slices) -> Trial:
    settings, task, storage = context.settings, context.task_settings, context.storage
    now = context.clock()
    span = Span(context.task, now - REPLAYED, now)
    limits = TaskLimits(
        gate=settings.gate,
        max_p99_latency_ms=settings.monitoring.max_p99_latency_ms,
        near_duplicate_similarity=task.near_duplicate_similarity,
        golden_examples=task.golden_examples,
        renames=task.labels.rename,
    )
    serving = serving_of(context)
    return Trial(
        serving=serving,
        candidate=candidate,
        champion=_champion(serving, context.task, data.are_pairs),
        data=data,
        slices=slices,
        traffic=storage.predictions.recent_texts(span, REPLAYED_TEXTS),
        limits=limits,
    )


def serving_of(context: JobContext) -> Serving:
    """Return the versions in the database, their files, and Triton."""
    return Serving(context.storage.models, context.repository, context.triton)


def _champion(serving: Serving, task: str, are_pairs: bool) -> ModelVersion | None:
    """Return the champion to compare with.

    None if there is none, its files are damaged, or the task's kind has changed since.
    """
    deployment = serving.models.deployment(task)
    if deployment is None:
        return None
    champion = serving.models.get(task, deployment.champion)
    if not is_whole(serving.repository, champion):
        return None
    place = (task, champion.model_format, champion.version)
    rates = serving.repository.manifest(*place).labels == REWARD_LABELS
    return champion if rates is are_pairs else None


def _settle(context: JobContext, candidate: Candidate, results: Sequence[GateResult]) -> Result:
    """Record the verdicts, promote or unload the candidate, and return the run's result.

    A version that passed waits for its rollout where the task has one and a champion.
    """
    models, task, now = context.storage.models, context.task, context.clock()
    approval = context.task_settings.approval
    if not approval:
        results = [*results, NO_APPROVAL]
    state = _state(results, approval)
    watched = context.task_settings.rollout is not None and models.deployment(task) is not None
    # A rollout waits for the end of a pause itself.
    version, pause = candidate.version.version, context.storage.pauses.get(task)
    promotes = state is ModelState.VALIDATED and pause is None and not watched
    reason = reason_of(results)
    if state is ModelState.VALIDATED and pause is not None:
        reason += f"; not promoted, because {pause}"
    measures = candidate.measures.known
    # In one transaction: a kill in between would leave a VALIDATED version that is never promoted.
    promotion = Change(candidate.made_by, reason, context.run_id, now) if promotes else None
    decided = models.judge(task, version, state, measures, reason, now, results, watched, promotion)
    log.info("candidate_judged", version=version, state=decided.state, reason=reason)
    if not promotes:
        serve(serving_of(context), task)
    return {
        "dataset_version": decided.dataset_version,
        "model_version": version,
        "state": str(decided.state),
        "reason": reason,
        "measures": measures,
    }


def _state(results: Sequence[GateResult], approval: bool) -> ModelState:
    """Return what a candidate becomes; `approval` says whether a person must approve it."""
    if any(result.verdict is GateVerdict.FAILED for result in results):
        return ModelState.REJECTED
    return ModelState.AWAITING_APPROVAL if approval else ModelState.VALIDATED


def reason_of(results: Sequence[GateResult]) -> str:
    """Return why a version passed or failed, in a sentence: the first failed gate's reason."""
    failed = [result for result in results if result.verdict is GateVerdict.FAILED]
    if failed:
        more = f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
        return f"gate {failed[0].gate}: {failed[0].reason}{more}"
    found = {result.gate: result for result in results}
    passed = sum(result.verdict is GateVerdict.PASSED for result in results)
    compared = found["champion"].verdict is GateVerdict.PASSED
    reasons = [found["champion" if compared else "accuracy"].reason]
    if not compared:
        reasons.append(found["champion"].reason)
    return f"passed {counted(passed, 'gate')}: {'; '.join(reasons)}"
