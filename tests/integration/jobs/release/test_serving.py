"""The trial of a candidate, and what Triton serves before, during and after it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.integration.jobs.release.conftest import Loop, Trained, failed, learn
from tests.plugins.triton import RunningTriton
from tidemill_core.domain.job import RETRAIN
from tidemill_core.domain.model import ModelState, model_name
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.triton.main import configure_all
from tidemill_jobs.release.serving import Reconciler, serve
from tidemill_jobs.release.trial import PublishedModel


def _answers(loop: Loop, trained: Trained, version: int) -> bool:
    found = loop.context.storage.models.get(loop.context.task, version)
    published = PublishedModel(found, loop.context.repository, loop.context.triton)
    online = published.answer(trained.test.texts)
    return bool(np.allclose(online, trained.model.test_probabilities, atol=1e-4))


def test_the_last_champion_stays_for_a_while(loop: Loop, trained: Trained) -> None:
    """The champion before the previous one is unloaded once no front asks for it."""
    for _ in range(3):
        loop.champion(trained)
    assert loop.ready() == {1, 2, 3}
    loop.reconcile(timedelta(0))
    assert loop.ready() == {1, 2, 3}
    loop.reconcile()
    assert loop.ready() == {2, 3}
    change = Change("test", "", "", loop.context.clock())
    loop.context.storage.models.rollback(loop.context.task, change)
    loop.reconcile()
    assert loop.ready() == {2}


def test_what_was_unloaded_is_loaded_again(loop: Loop, trained: Trained) -> None:
    """An unloaded champion is loaded again, and the candidate of a killed run is unloaded."""
    loop.champion(trained)
    loop.context.triton.unload(model_name(loop.context.task, "onnx"))
    assert loop.ready() == set()
    loop.reconcile()
    assert loop.ready() == {1}
    context, left = loop.context, loop.candidate(trained)
    serve(loop.serving, context.task, left)
    assert loop.ready() == {1, 2}
    loop.reconcile()
    assert loop.ready() == {1}
    assert _answers(loop, trained, 1)


def test_a_triton_that_lost_its_champion_gets_it_back_while_a_retraining_runs(
    loop: Loop, trained: Trained
) -> None:
    """During a training the champion is loaded again, and the candidate stays."""
    loop.champion(trained)
    context, now = loop.context, datetime.now(UTC)
    context.storage.jobs.enqueue(RunRequest(RETRAIN, context.task, "test"), now)
    assert context.storage.jobs.claim(now) is not None
    candidate = loop.candidate(trained)
    serve(loop.serving, context.task, candidate)
    loop.reconcile()
    assert loop.ready() == {1, 2}
    context.triton.unload(model_name(context.task, "onnx"))
    loop.reconcile()
    assert loop.ready() == {1, 2}


@pytest.mark.parametrize("retraining", [False, True])
def test_a_version_that_is_taken_back_is_loaded(
    loop: Loop, trained: Trained, retraining: bool
) -> None:
    """It is loaded even right after a change of traffic, or while a candidate is tested."""
    for _ in range(2):
        loop.champion(trained)
    context, models, now = loop.context, loop.context.storage.models, datetime.now(UTC)
    models.rollback(context.task, Change("test", "", "", now))
    loop.reconcile()
    assert loop.ready() == {1}
    if retraining:
        context.storage.jobs.enqueue(RunRequest(RETRAIN, context.task, "test"), now)
        assert context.storage.jobs.claim(now) is not None
        candidate = loop.candidate(trained)
        serve(loop.serving, context.task, candidate)
    models.recall(context.task, 2, Change("test", "", "", now + timedelta(seconds=1)))
    loop.reconcile(timedelta(seconds=1))
    assert loop.ready() == ({1, 2, 3} if retraining else {1, 2})
    assert _answers(loop, trained, 2)


def test_a_damaged_version_is_not_loaded_over_and_over(loop: Loop, trained: Trained) -> None:
    """A trusted version with a damaged file is skipped, and the others stay."""
    loop.champion(trained)
    loop.champion(trained)
    loop.model_file(1).write_bytes(b"damaged")
    loop.context.triton.unload(model_name(loop.context.task, "onnx"))
    loop.reconcile()
    assert loop.ready() == {2}
    with capture_logs() as logs:
        loop.reconcile()
    assert [entry["event"] for entry in logs] == ["version_damaged"]
    assert loop.ready() == {2}


@pytest.mark.parametrize("broken", [b"no model at all", None])
def test_a_model_that_does_not_load(loop: Loop, trained: Trained, broken: bytes | None) -> None:
    """A file that Triton refuses fails the gates with Triton's message; the champion stays."""
    loop.champion(trained)
    half = trained.exported[: len(trained.exported) // 2]
    reasons = failed(loop.judge(loop.candidate(trained, broken or half), trained))
    assert reasons["loads"].startswith("MODEL_LOAD_FAILED: ")
    assert {"answers", "export", "memory", "accuracy", "champion", "latency"} <= reasons.keys()
    assert loop.ready() == {1}
    assert _answers(loop, trained, 1)


def test_a_broken_candidate_survives_no_cold_start(
    loop: Loop, trained: Trained, triton: RunningTriton
) -> None:
    """If Triton dies with a broken candidate, it starts again with the champion."""
    loop.champion(trained)
    candidate = loop.candidate(trained, trained.exported[:1000])
    assert "loads" in failed(loop.judge(candidate, trained))
    triton.kill()
    triton.start()
    loop.context.triton.wait_ready(120)
    for name in configure_all(loop.context.settings):
        loop.context.triton.load(name)
    assert loop.ready() == {1}
    assert _answers(loop, trained, 1)


def test_another_model_is_noticed(loop: Loop, trained: Trained, other: Trained) -> None:
    """A file of another model answers differently, and fails."""
    reasons = failed(loop.judge(loop.candidate(trained, other.exported), trained))
    assert "answered differently through Triton" in reasons["answers"]
    assert reasons["export"].startswith("EXPORT_MISMATCH: ")


def test_a_model_of_other_labels_is_noticed(loop: Loop, trained: Trained) -> None:
    """A file with another number of labels fails too."""
    two = learn(lambda _text, label: "pay" if label == "pay" else "card")
    reasons = failed(loop.judge(loop.candidate(trained, two.exported), trained))
    assert reasons["answers"].startswith("WRONG_LABEL_COUNT: ")
    assert loop.state(1) is ModelState.CANDIDATE


def test_a_damaged_champion_is_taken_over(loop: Loop, trained: Trained) -> None:
    """A candidate is judged without a champion if the champion is damaged."""
    loop.champion(trained)
    loop.model_file(1).write_bytes(b"damaged")
    results = loop.judge(loop.candidate(trained), trained)
    assert failed(results) == {}
    assert results["champion"].reason == "no champion to compare with"


def test_one_that_no_longer_leads_changes_nothing(loop: Loop, trained: Trained) -> None:
    """A process that was stopped while another took over leaves what Triton serves as it is."""
    loop.champion(trained)
    loop.context.triton.unload(model_name(loop.context.task, "onnx"))
    context = loop.context
    reconciler = Reconciler(context.storage, context.repository, context.clock, lambda: False)
    for triton in context.triton.servers():
        reconciler.tick(triton, [context.task])
    assert loop.ready() == set()
