"""What a real front counts for the error budget, and the gauges of reports on its metrics page."""

from datetime import UTC, datetime, timedelta
from functools import partial

from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.refusal import refusal, words
from tests.integration.server.scraping import samples, total, triton_metrics_port
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_jobs.monitoring.triton_metrics import read_counters, since

HOUR = timedelta(hours=1)


def test_outcomes_reach_the_database_and_reports_the_metrics(
    workspace: Workspace, triton: RunningTriton
) -> None:
    """Answers are counted when the front ends, and Triton counts its own times of them."""
    storage, start = workspace.storage, datetime.now(UTC)
    details = {"accuracy": 0.875, "accuracy_low": 0.85}
    ok = ReportVerdict.OK
    storage.reports.add(Report("gauge", "support", "accuracy", 1, ok, "found", details, "run", NOW))
    with Front(workspace, triton.grpc_address) as front:
        request = pb.BatchPredictRequest(task="support", texts=["where is my card?"] * 3)
        front.predictions.BatchPredict(request, timeout=10)
        place = {"task": "support", "source": "overall"}
        wait_until(lambda: total(samples(front), "accuracy", **place) > 0, "there are gauges")
        assert total(samples(front), "accuracy", **place) == 0.875
        assert total(samples(front), "accuracy_low", **place) == 0.85
    page = f"http://127.0.0.1:{triton_metrics_port(triton)}/metrics"
    counters = read_counters([page], "support-onnx", 1)
    assert counters[page]["success_count"] >= 1
    assert since({}, counters)["triton_compute_ms"] > 0
    until = datetime.now(UTC) + timedelta(seconds=1)
    counted = storage.outcome_counts.sums("support", start, until)
    assert counted.answered >= 3


def test_a_text_that_triton_did_not_answer_uses_the_error_budget_up(workspace: Workspace) -> None:
    """A caller's own mistake does not."""
    start = datetime.now(UTC)
    before = workspace.storage.outcome_counts.sums("support", start, start + HOUR)
    with Front(workspace, "127.0.0.1:9") as front:
        for text, reason in (("where is my card?", "TRITON_UNAVAILABLE"), ("", "BLANK_TEXT")):
            request = pb.PredictRequest(task="support", text=text)
            refused = refusal(partial(front.predictions.Predict, request, timeout=10))
            assert words(refused)[1] == reason
    counted = workspace.storage.outcome_counts.sums("support", start, start + HOUR)
    assert (before.total, counted.answered, counted.failed) == (0, 0, 1)
