"""The lifecycle of a model version."""

import itertools

import pytest

from tidemill_core.domain.model import ModelState, model_name, step
from tidemill_core.errors import IllegalTransition

S = ModelState
ALLOWED = {
    (S.CANDIDATE, S.VALIDATED),
    (S.CANDIDATE, S.REJECTED),
    (S.CANDIDATE, S.AWAITING_APPROVAL),
    (S.AWAITING_APPROVAL, S.VALIDATED),
    (S.AWAITING_APPROVAL, S.REJECTED),
    (S.VALIDATED, S.SHADOW),
    (S.VALIDATED, S.CHAMPION),
    (S.SHADOW, S.CANARY),
    (S.SHADOW, S.CHAMPION),
    (S.SHADOW, S.ROLLED_BACK),
    (S.CANARY, S.CHAMPION),
    (S.CANARY, S.ROLLED_BACK),
    (S.CHAMPION, S.RETIRED),
    (S.CHAMPION, S.ROLLED_BACK),
    (S.RETIRED, S.CHAMPION),
    (S.ROLLED_BACK, S.VALIDATED),
}
FORBIDDEN = sorted(set(itertools.product(S, S)) - ALLOWED)


@pytest.mark.parametrize(("current", "target"), sorted(ALLOWED))
def test_allowed_steps(current: ModelState, target: ModelState) -> None:
    """A step of the lifecycle leads to its target."""
    assert step(current, target) is target


@pytest.mark.parametrize(("current", "target"), FORBIDDEN)
def test_forbidden_steps(current: ModelState, target: ModelState) -> None:
    """Any other step is an error that names both states."""
    words = f"{current} (cannot become {target}|already)"
    with pytest.raises(IllegalTransition, match=words) as caught:
        step(current, target)
    assert caught.value.reason == "ILLEGAL_TRANSITION"


def test_a_forbidden_step_names_the_states_that_it_needs() -> None:
    """A person who makes a version a canary too early reads that it must be a shadow first."""
    with pytest.raises(IllegalTransition, match=r"cannot become CANARY; it must be SHADOW$"):
        step(S.VALIDATED, S.CANARY)


@pytest.mark.parametrize(
    ("current", "command"),
    [(S.AWAITING_APPROVAL, "approve"), (S.REJECTED, "show"), (S.RETIRED, "rollback")],
)
def test_a_forbidden_step_names_the_command_that_helps(current: ModelState, command: str) -> None:
    """A version that waits is approved first, a rejected one is read, a retired one rolled back."""
    with pytest.raises(IllegalTransition, match=f"CANARY; `tidemill models {command}` "):
        step(current, S.CANARY)


def test_model_name() -> None:
    """Triton's name of a model is the task and the format."""
    assert model_name("support", "onnx") == "support-onnx"
