"""Conversion between the contract's messages and the domain's values."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tidemill.v1 import feedback_service_pb2, job_service_pb2, labeling_service_pb2
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.domain.labeling import LabelItemState
from tidemill_core.errors import InvalidArgument
from tidemill_server import convert, convert_runs

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5, minutes=30)))


def test_times_enums_and_figures_arrive_whole() -> None:
    """Times keep their microseconds, a missing one is unset, and figures may be nested."""
    figures = {"accuracy": 0.5, "by_label": {"card": [1, None]}}
    run = JobRun(
        run_id="r",
        job="retrain",
        task="support",
        state=JobRunState.RUNNING,
        trigger="RPC",
        fire_time=None,
        progress=0.25,
        message="epoch 1",
        result=figures,
        error="",
        cancel_requested=True,
        create_time=MOMENT,
        start_time=MOMENT,
        end_time=None,
    )
    made = convert_runs.job_run(run)
    assert made.create_time.ToDatetime(UTC) == MOMENT
    assert not made.HasField("end_time")
    assert made.state == job_service_pb2.JOB_RUN_STATE_RUNNING
    by_label: Any = made.result["by_label"]
    assert (made.result["accuracy"], list(by_label["card"])) == (0.5, [1, None])
    assert (made.trigger, made.progress, made.cancel_requested) == ("RPC", 0.25, True)


@pytest.mark.parametrize(
    "verdict", [{"correct": False, "label": None}, {"correct": None, "label": ""}]
)
def test_feedback_has_the_verdict_that_was_given(verdict: dict[str, Any]) -> None:
    """False and an empty label are verdicts; None is not."""
    given = next(name for name, value in verdict.items() if value is not None)
    fields = {"source": "ann", "comment": "", "request_id": "", "create_time": MOMENT, **verdict}
    value = Feedback("f", "p", "support", 1, **fields)
    made = convert.message(feedback_service_pb2.Feedback, value)
    assert made.WhichOneof("verdict") == given


def test_values_of_enums_are_the_contracts() -> None:
    """Every state is known; UNSPECIFIED and unknown numbers are refused."""
    pb = labeling_service_pb2
    named = [number for number in pb.LabelItemState.values() if number]
    assert convert.label_item_states(named) == list(LabelItemState)
    assert convert.label_reason(pb.LABEL_REASON_UNSPECIFIED) is None
    for refused in (lambda: convert.label_item_states([0]), lambda: convert.label_reason(99)):
        with pytest.raises(InvalidArgument, match="is not a value of its enum"):
            refused()
