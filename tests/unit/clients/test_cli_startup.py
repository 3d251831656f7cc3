"""The conclusions of `tidemill up` and `tidemill status`."""

from dataclasses import replace

import pytest

from tidemill_cli.status import Status, TaskStatus
from tidemill_cli.unserved import no_first_model, trouble_of

SERVED = TaskStatus("support", "SERVING", 1, 0.9, 1)


def test_a_training_that_failed_was_canceled_or_was_rejected_is_trouble() -> None:
    """Each of the three is explained; a rejected model is the only trouble of a successful run."""
    error = "SOURCE_MISSING: there is no file x"
    assert trouble_of("FAILED", error, {}) == error
    assert trouble_of("CANCELLED", "", {}) == "its training was canceled"
    result = {"state": "REJECTED", "reason": "accuracy 0.2"}
    assert trouble_of("SUCCEEDED", "", result) == "its model was rejected: accuracy 0.2"


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING"])
def test_a_training_that_is_under_way_is_no_trouble(state: str) -> None:
    """Before a training has ended, there is no error."""
    assert trouble_of(state, "", {}) == ""


def test_a_training_that_made_a_champion_is_no_trouble() -> None:
    """A successful run is no trouble unless the gate rejected its model."""
    assert trouble_of("SUCCEEDED", "", {"state": "CHAMPION"}) == ""


@pytest.mark.parametrize(
    ("trouble", "advice"),
    [
        ("SOURCE_MISSING: there is no file x", "fix that, then run"),
        ("TRITON_UNAVAILABLE: Triton does not answer", "see Triton's log, then run"),
        ("its model was rejected: MODEL_LOAD_FAILED: Triton could not", "see Triton's log, then"),
        ("its model was rejected: ANSWERS_DIFFER: version 1", "see Triton's log, then run"),
        ("its model was rejected: accuracy 0.2", "check the labels of its sources, or add"),
        ("its model was rejected: gate latency: p99 64.3 ms", "max_p99_latency_ms, or stop"),
        ("its model was rejected: gate memory: 9,000 MB", "raise gate.max_memory_mb of the task"),
        ("its model was rejected: gate accuracy: 0.2", "check the labels of its sources, or add"),
        ("STORAGE_UNAVAILABLE: the database", "check that the database answers, then run"),
        ("DIED: its process ended with exit code -9", "that there is enough memory, then run"),
        ("its training was canceled", "\nrun"),
    ],
)
def test_the_advice_is_about_what_happened(trouble: str, advice: str) -> None:
    """The advice fits the cause, and ends with the command to retry."""
    said = no_first_model("support", trouble)
    assert said.startswith(f"support has no first model: {trouble}\n")
    assert advice in said
    assert said.endswith("run: tidemill jobs run retrain --task support")


@pytest.mark.parametrize(
    ("status", "serving"),
    [
        (Status("SERVING", [SERVED], []), True),
        (Status("SERVING", [SERVED, replace(SERVED, health="NOT_SERVING")], []), False),
        (Status("NOT_SERVING", [SERVED], []), False),
        (Status("SERVING", [], []), False),
    ],
    ids=["all", "one task is not", "draining", "no tasks"],
)
def test_all_are_serving_only_if_the_server_and_every_task_are(
    status: Status, serving: bool
) -> None:
    """A server without a task is not serving."""
    assert status.serving is serving
