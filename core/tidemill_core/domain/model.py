"""Model versions, their states, and the deployments that put them in traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tidemill_core.errors import IllegalTransition


class ModelState(StrEnum):
    """The state of a model version: how far it is trusted."""

    CANDIDATE = "CANDIDATE"
    VALIDATED = "VALIDATED"
    REJECTED = "REJECTED"
    SHADOW = "SHADOW"
    CANARY = "CANARY"
    CHAMPION = "CHAMPION"
    RETIRED = "RETIRED"
    ROLLED_BACK = "ROLLED_BACK"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    """Passed all other gates, and waits for a person."""


_S = ModelState
_STEPS: Mapping[ModelState, frozenset[ModelState]] = {
    _S.CANDIDATE: frozenset({_S.VALIDATED, _S.REJECTED, _S.AWAITING_APPROVAL}),
    _S.AWAITING_APPROVAL: frozenset({_S.VALIDATED, _S.REJECTED}),
    _S.VALIDATED: frozenset({_S.SHADOW, _S.CHAMPION}),
    _S.SHADOW: frozenset({_S.CANARY, _S.CHAMPION, _S.ROLLED_BACK}),
    _S.CANARY: frozenset({_S.CHAMPION, _S.ROLLED_BACK}),
    _S.CHAMPION: frozenset({_S.RETIRED, _S.ROLLED_BACK}),
    _S.RETIRED: frozenset({_S.CHAMPION}),
    _S.REJECTED: frozenset(),
    _S.ROLLED_BACK: frozenset({_S.VALIDATED}),
}
_NEXT_STEP = {
    _S.AWAITING_APPROVAL: "`tidemill models approve` lets it answer, and `reject` refuses it",
    _S.RETIRED: "`tidemill models rollback` goes back to the champion before the current one",
    _S.REJECTED: "`tidemill models show` says which gates it failed",
}


def step(current: ModelState, target: ModelState) -> ModelState:
    """Return `target` if a version may go there from `current`.

    Raises:
        IllegalTransition: the lifecycle has no such step.
    """
    if target not in _STEPS[current]:
        needed = [state for state, targets in _STEPS.items() if target in targets]
        raise IllegalTransition(current, target, what_helps(current, needed))
    return target


def what_helps(current: ModelState, needed: Sequence[ModelState]) -> str:
    """Return what helps a version that must be in one of some states first."""
    if current in _NEXT_STEP or not needed:
        return _NEXT_STEP.get(current, "")
    *others, last = needed
    return f"it must be {', '.join(others)} or {last}" if others else f"it must be {last}"


MODEL_FILES = {"onnx": "model.onnx", "torchscript": "model.pt"}
"""The name of a model's file, by its format."""


def model_name(task: str, model_format: str) -> str:
    """Return the name of a task's model in Triton: `support-onnx`."""
    return f"{task}-{model_format}"


@dataclass(frozen=True)
class ModelVersion:
    """One model version in the catalog.

    Attributes:
        task: the task it belongs to.
        version: number within the task, from 1.
        model_format: `onnx` or `torchscript`.
        state: its state.
        dataset_version: the dataset version it was trained on.
        measures: accuracy, macro_f1 and expected_calibration_error on the hold-out, in [0, 1].
        reason: why it is in this state, for people.
        create_time: when it was published.
        update_time: when its state last changed.
        approved_by: who approved it; empty if no one did.
        trained_because: why it was trained; empty for versions before this was stored.
        judge_time: when the gates, or then a person, accepted or rejected it; None before that,
            and for versions before this was stored.
    """

    task: str
    version: int
    model_format: str
    state: ModelState
    dataset_version: str
    measures: Mapping[str, float]
    reason: str
    create_time: datetime
    update_time: datetime
    approved_by: str = ""
    trained_because: str = ""
    judge_time: datetime | None = None


@dataclass(frozen=True)
class Deployment:
    """Which versions answer a task's requests from one moment on. Never overwritten.

    Attributes:
        deployment_id: increases with each change.
        task: the task.
        champion: version that answers all callers that no canary answers.
        previous_champion: the version to roll back to; 0 if there is none. It stays loaded.
        canaries: percent of callers by version, each 1 to 99, together under 100.
        shadows: versions that get a copy of the traffic and answer no caller.
        actor: who made the change.
        comment: why.
        create_time: when it took effect.
    """

    deployment_id: int
    task: str
    champion: int
    previous_champion: int
    canaries: Mapping[int, int]
    shadows: tuple[int, ...]
    actor: str
    comment: str
    create_time: datetime
