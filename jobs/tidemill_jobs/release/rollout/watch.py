"""The job `rollout`: one check of a task's running rollout.

Each change of traffic is one transaction. If the job dies after it, the next check finds the
version's new state and goes on from there, so the task has a champion at any time.
"""

from datetime import datetime, timedelta

from tidemill_core.domain.model import Deployment, ModelState, ModelVersion, model_name
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.domain.rollout import ROLLOUT, Rollout, RolloutState
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import NoChampion
from tidemill_core.settings.rollout import RolloutSettings
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.rollout_evidence import Comparison, read_evidence
from tidemill_core.storage.rollouts import RolloutRunning
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.reporting import CheckFinding, ReportSubject, report
from tidemill_jobs.release.rollout.decision import Action, RolloutDecision, Stage, decide

ROUTED_AFTER = timedelta(seconds=2)
"""Time after which all fronts have noticed a change of traffic; they take a quarter of a second."""
_CANARIES = "waits until the canaries that a person set are gone"
_STARTING = RolloutDecision(Action.ADVANCE, "passed the gates", 0, {})


def run(context: JobContext) -> Result:
    """Check the running rollout, or start the one that waits, and make one decision.

    Returns:
        `decision` (an `Action`, ENDED or NOTHING), `reason` and, if there is a rollout, its
        `model_version` and `percent`.

    Raises:
        StorageUnavailable: the database does not answer.
        TritonUnavailable: Triton does not answer; the next check tries again.
    """
    task, models, now = context.task, context.storage.models, context.clock()
    rollout = context.storage.rollouts.current(task, now)
    deployment = models.deployment(task)
    if rollout is None:
        return {"decision": "NOTHING", "reason": "no version waits for a rollout"}
    if deployment is None:
        raise NoChampion(task)
    version = models.get(task, rollout.version)
    if end := _end(rollout, version, deployment):
        return _close(context, rollout, end, deployment)
    decision = _decision(context, rollout, version, deployment)
    try:
        _apply(context, rollout, version, decision)
    except RolloutRunning:  # a person set a canary meanwhile
        decision = RolloutDecision(Action.HOLD, _CANARIES, 0, {})
    return {
        "decision": str(decision.action),
        "reason": decision.reason,
        "model_version": version.version,
        "percent": decision.percent,
        **decision.figures,
    }


def _end(
    rollout: Rollout, version: ModelVersion, deployment: Deployment
) -> tuple[RolloutState, str] | None:
    """Return how a rollout has ended already: by a check that died, or by a person."""
    if version.state is ModelState.CHAMPION:
        return RolloutState.PROMOTED, version.reason
    if version.state not in (ModelState.VALIDATED, ModelState.SHADOW, ModelState.CANARY):
        return RolloutState.ROLLED_BACK, version.reason
    if deployment.champion != rollout.champion and version.state is ModelState.VALIDATED:
        return RolloutState.SKIPPED, f"version {deployment.champion} became champion"
    return None


def _close(
    context: JobContext, rollout: Rollout, end: tuple[RolloutState, str], deployment: Deployment
) -> Result:
    state, reason = end
    same = deployment.champion == rollout.champion
    if state is RolloutState.ROLLED_BACK and deployment.actor == ROLLOUT and same:
        # The check that rolled it back died before it could raise the alert.
        found = RolloutDecision(Action.ROLL_BACK, reason, 0, {})
        _report(context, rollout.version, found, context.clock())
    context.storage.rollouts.close(rollout, state, reason, context.clock())
    result = {"decision": "ENDED", "reason": reason, "model_version": rollout.version}
    return {**result, "state": str(state)}


def _decision(
    context: JobContext, rollout: Rollout, version: ModelVersion, deployment: Deployment
) -> RolloutDecision:
    task, storage, settings = context.task, context.storage, context.settings
    if deployment.champion != rollout.champion:
        reason = f"version {deployment.champion} became champion, so the comparison ended"
        return RolloutDecision(Action.STOP, reason, 0, {"champion": deployment.champion})
    percent = deployment.canaries.get(version.version, 0)
    stage = Stage(
        start_time=rollout.start_time or rollout.create_time,
        percent=percent,
        since=deployment.create_time,
        paused=storage.pauses.get(task) is not None,
        loaded=_is_loaded(context.triton, version),
    )
    if version.state is ModelState.VALIDATED:
        return _start(stage, deployment, context.clock())
    compared = Comparison(task, version.version, rollout.champion, stage.start_time)
    renames = context.task_settings.labels.rename
    limit = settings.monitoring.max_p99_latency_ms
    evidence = read_evidence(storage.database, compared, renames, limit)
    # The section may be gone since the rollout began.
    rules = context.task_settings.rollout or RolloutSettings()
    return decide(stage, evidence, rules, context.clock())


def _start(stage: Stage, deployment: Deployment, now: datetime) -> RolloutDecision:
    """Return whether a version can become shadow now.

    No answer may count that a front gave by earlier canaries.
    """
    waits = "paused" if stage.paused else ""
    if deployment.canaries:
        waits = _CANARIES
    elif now - deployment.create_time < ROUTED_AFTER:
        waits = "waits until all fronts have noticed the last change of traffic"
    elif not stage.loaded:
        waits = "waits until Triton has loaded it"
    return RolloutDecision(Action.HOLD, waits, 0, {}) if waits else _STARTING


def _is_loaded(triton: TritonControl, version: ModelVersion) -> bool:
    name = model_name(version.task, version.model_format)
    return version.version in triton.ready_versions(name)


def _apply(
    context: JobContext, rollout: Rollout, version: ModelVersion, decision: RolloutDecision
) -> None:
    """Change the traffic, then report it, then end the rollout if it has ended."""
    if decision.action is Action.HOLD:
        return
    models, now = context.storage.models, context.clock()
    change = Change(ROLLOUT, decision.reason, "", now)
    number, task = version.version, context.task
    if decision.action is Action.PROMOTE:
        models.promote(task, number, change)
    else:
        models.set_traffic(task, _traffic(models.deployment(task), number, decision), change)
    _report(context, number, decision, now)
    if decision.action is not Action.ADVANCE:
        promoted = decision.action is Action.PROMOTE
        state = RolloutState.PROMOTED if promoted else RolloutState.ROLLED_BACK
        context.storage.rollouts.close(rollout, state, decision.reason, now)


def _traffic(deployment: Deployment | None, number: int, decision: RolloutDecision) -> Traffic:
    """Return the traffic that follows a decision; other shadows and canaries stay."""
    if deployment is None:
        return Traffic()
    canaries = {v: percent for v, percent in deployment.canaries.items() if v != number}
    shadows = tuple(shadow for shadow in deployment.shadows if shadow != number)
    if decision.action is Action.ADVANCE and decision.percent:
        canaries[number] = decision.percent
    elif decision.action is Action.ADVANCE:
        shadows = (*shadows, number)
    return Traffic(canaries, shadows)


def _report(context: JobContext, number: int, decision: RolloutDecision, now: datetime) -> None:
    verdicts = {
        Action.ROLL_BACK: ReportVerdict.ALERT,
        Action.STOP: ReportVerdict.INSUFFICIENT,
    }
    step = f"{decision.percent} % of the callers" if decision.percent else "a shadow"
    event = {Action.ADVANCE: step, Action.PROMOTE: "champion"}.get(decision.action, "rolled back")
    finding = CheckFinding(
        verdicts.get(decision.action, ReportVerdict.OK),
        f"version {number}: {event}; {decision.reason}",
        {"percent": decision.percent, **decision.figures},
    )
    subject = ReportSubject(context.task, ROLLOUT, number, context.run_id, now)
    report(context.storage, context.settings.alerts, subject, finding)
