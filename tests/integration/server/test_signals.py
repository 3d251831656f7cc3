"""What a real front counts for the error budget, and the gauges of reports on its metrics page."""

from datetime import UTC, datetime, timedelta

from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.scraping import samples, total
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.domain.report import Report, ReportVerdict


def test_outcomes_reach_the_database_and_reports_the_metrics(
    workspace: Workspace, triton: RunningTriton
) -> None:
    """Answers are counted when the front ends, and the newest report is on its page."""
    storage, start = workspace.storage, datetime.now(UTC)
    details = {"accuracy": 0.875, "accuracy_low": 0.85}
    ok = ReportVerdict.OK
    storage.reports.add(Report("gauge", "support", "accuracy", 1, ok, "found", details, "run", NOW))
    with Front(workspace, triton.grpc_address) as front:
        request = pb.BatchPredictRequest(task="support", texts=["where is my card?"] * 3)
        front.predictions.BatchPredict(request, timeout=10)
        place = {"task": "support", "source": "overall"}
        wait_until(lambda: total(samples(front), "accuracy", **place) > 0, "there are gauges", 10)
        assert total(samples(front), "accuracy", **place) == 0.875
        assert total(samples(front), "accuracy_low", **place) == 0.85
    until = datetime.now(UTC) + timedelta(seconds=1)
    counted = storage.outcome_counts.sums("support", start, until)
    assert counted.answered >= 3
