"""Gates that depend on a task's settings and on the kind of candidate, with a real Triton."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.contract.storage.values import prediction
from tests.integration.jobs.release.conftest import Loop, Trained, failed
from tidemill_core.domain.gate import GateVerdict
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.pause import ReleasePause, ReleasesPaused
from tidemill_core.domain.rollout import RolloutState
from tidemill_core.settings import GateSettings
from tidemill_core.settings.rollout import RolloutSettings
from tidemill_core.storage.deployments import Change
from tidemill_jobs.release.candidate import Candidate
from tidemill_jobs.release.decide import judged
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData

_SECOND = timedelta(seconds=1)
NOT_APPLICABLE = GateVerdict.NOT_APPLICABLE


def set_task(loop: Loop, **settings: Any) -> None:
    """Change the task's settings."""
    task = loop.context.task_settings.model_copy(update=settings)
    loop.context.settings.tasks[loop.context.task] = task


def test_golden_examples_must_be_right(loop: Loop, trained: Trained, tmp_path: Path) -> None:
    """A wrong one fails and is shown with what was answered; a missing file fails too."""
    text, label = trained.test.texts[0], trained.test.labels[0]
    path = tmp_path / "golden.csv"
    set_task(loop, golden_examples=path)
    version = loop.candidate(trained)
    assert failed(loop.judge(version, trained))["golden"].startswith("GOLDEN_EXAMPLES: ")
    path.write_text(f"text,label\n{text},{label}\n")
    assert failed(loop.judge(version, trained)) == {}
    path.write_text(f"text,label\n{text},{label}\n{text},other\n")
    reason = failed(loop.judge(version, trained))["golden"]
    assert f"{text!r} is answered {label}, not other" in reason


def test_a_person_must_approve(loop: Loop, trained: Trained) -> None:
    """A version that passed waits without traffic; approved, it is trusted, and the record says so.

    One that fails a gate is rejected all the same.
    """
    loop.champion(trained)
    set_task(loop, approval=True)
    result = loop.retrain()
    assert result["state"] == ModelState.AWAITING_APPROVAL
    assert loop.ready() == {1}
    models, task = loop.context.storage.models, loop.context.task
    assert "approval" not in {each.gate for each in models.gate_results(task, 2)}
    models.approve(task, 2, Change("ann", "looks right", "", loop.context.clock()))
    assert loop.state(2) is ModelState.VALIDATED
    assert models.gate_results(task, 2)[-1].reason == "approved by ann: looks right"
    settings = loop.context.settings.model_copy(update={"gate": GateSettings(max_model_mb=0.001)})
    loop.context = replace(loop.context, settings=settings)
    assert loop.retrain()["state"] == ModelState.REJECTED


def test_a_version_that_passed_waits_for_its_rollout(loop: Loop) -> None:
    """The first model is champion immediately; the next one stays loaded and gets no traffic."""
    set_task(loop, rollout=RolloutSettings())
    assert loop.retrain()["state"] == ModelState.CHAMPION
    assert loop.retrain()["state"] == ModelState.VALIDATED
    assert loop.state(1) is ModelState.CHAMPION
    assert loop.ready() == {1, 2}
    [waiting] = loop.context.storage.rollouts.of_task(loop.context.task)
    assert (waiting.version, waiting.state) == (2, RolloutState.WAITING)


def test_a_model_from_elsewhere_has_no_torch_module(loop: Loop, trained: Trained) -> None:
    """What compares with one is NOT_APPLICABLE; all other gates judge it as any candidate."""
    version = loop.candidate(trained)
    model = trained.model
    candidate = Candidate(version, model.labels, model.test_measures, model.probabilities)
    data = TrainingData(LabeledTexts(), test=trained.test)
    results = {each.gate: each for each in judged(loop.context, candidate, data, {})}
    assert failed(results) == {}
    assert results["export"].verdict is NOT_APPLICABLE
    assert results["weights"].verdict is GateVerdict.PASSED


def test_int8_weights_that_change_labels_fail(loop: Loop, trained: Trained, other: Trained) -> None:
    """The gate asks the module before rounding, and counts the labels that Triton changes."""
    version, model = loop.candidate(trained), trained.model
    data = TrainingData(LabeledTexts(), test=trained.test)
    before = {"same": model.classifier, "other": other.model.classifier}
    found = {}
    for name, unrounded in before.items():
        candidate = Candidate(
            version, model.labels, model.test_measures, model.probabilities, unrounded=unrounded
        )
        results = {each.gate: each for each in judged(loop.context, candidate, data, {})}
        found[name] = failed(results)
    assert found["same"] == {}
    assert "weights in int8 change the label of" in found["other"]["int8"]


def test_recent_texts_of_callers_are_sent_again(loop: Loop, trained: Trained) -> None:
    """The gates on speed send what callers sent, where texts are stored."""
    now = loop.context.clock()
    asked = prediction("p", task=loop.context.task, text="transfer money", predict_time=now)
    loop.context.storage.predictions.add([asked])
    loop.context = replace(loop.context, clock=lambda: now.replace(year=now.year + 1))
    held_out = loop.judge(loop.candidate(trained), trained)
    assert "held-out texts" in held_out["latency"].reason
    loop.context = replace(loop.context, clock=lambda: now.replace(microsecond=0) + _SECOND)
    replayed = loop.judge(loop.candidate(trained), trained)
    assert "recent texts of callers" in replayed["latency"].reason


def test_while_releases_are_paused_nothing_is_trained_or_promoted(
    loop: Loop, trained: Trained
) -> None:
    """A retraining is refused with who paused it and why; one under way is judged, and waits."""
    loop.champion(trained)
    pauses, task = loop.context.storage.pauses, loop.context.task
    pause = ReleasePause(task, "ann", "labels are checked", loop.context.clock())

    def pause_now(_done: float, doing: str) -> None:
        if doing == "publishing":
            pauses.pause(pause)

    result = loop.retrain(progress=pause_now)
    assert result["state"] == ModelState.VALIDATED
    reason = "not promoted, because ann paused releases: labels are checked"
    assert str(result["reason"]).endswith(reason)
    assert loop.state(1) is ModelState.CHAMPION
    with pytest.raises(ReleasesPaused, match="ann paused releases: labels are checked"):
        loop.retrain()
