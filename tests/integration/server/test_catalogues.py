"""DatasetService and MonitoringService, and the pages of every list."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.refusal import refusal, words
from tidemill.v1 import (
    dataset_service_pb2,
    feedback_service_pb2,
    job_service_pb2,
    labeling_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
)
from tidemill_core.domain.alert import Severity
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.report import Report, ReportVerdict

LISTS: dict[str, tuple[Callable[[Front], Any], Any]] = {
    "ListDatasetVersions": (
        lambda front: front.datasets,
        dataset_service_pb2.ListDatasetVersionsRequest,
    ),
    "ListLabelItems": (lambda front: front.labeling, labeling_service_pb2.ListLabelItemsRequest),
    "ListHeldFeedback": (
        lambda front: front.feedback,
        feedback_service_pb2.ListHeldFeedbackRequest,
    ),
    "ListModelVersions": (lambda front: front.models, model_service_pb2.ListModelVersionsRequest),
    "ListDeployments": (lambda front: front.models, model_service_pb2.ListDeploymentsRequest),
    "ListReports": (lambda front: front.monitoring, monitoring_service_pb2.ListReportsRequest),
    "ListAlerts": (lambda front: front.monitoring, monitoring_service_pb2.ListAlertsRequest),
    "ListSilences": (lambda front: front.monitoring, monitoring_service_pb2.ListSilencesRequest),
    "ListJobs": (lambda front: front.jobs, job_service_pb2.ListJobsRequest),
    "ListJobRuns": (lambda front: front.jobs, job_service_pb2.ListJobRunsRequest),
}
BAD_PAGES: dict[str, dict[str, Any]] = {
    "INVALID_PAGE_TOKEN": {"page_token": "nonsense"},
    "INVALID_PAGE_SIZE": {"page_size": -1},
}


@pytest.mark.parametrize("method", LISTS)
@pytest.mark.parametrize("reason", BAD_PAGES)
def test_a_wrong_page_is_refused(front: Front, method: str, reason: str) -> None:
    """Every list refuses a foreign token and a negative size as INVALID_ARGUMENT."""
    service, request = LISTS[method]
    page = BAD_PAGES[reason]
    refused = refusal(lambda: getattr(service(front), method)(request(**page), timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", reason, next(iter(page)))


def dataset(number: int, **label_counts: int) -> DatasetVersion:
    """Return a dataset version."""
    return DatasetVersion(
        dataset_version=f"{number:02d}" * 32,
        task="support",
        uri="file:///datasets",
        row_counts={"train": sum(label_counts.values())},
        label_counts=label_counts,
        label_source_counts={"source": sum(label_counts.values())},
        quarantine_counts={},
        create_time=NOW,
        build_time=NOW,
        source_counts={"files": {"kept": sum(label_counts.values()), "merged": 2}},
        parents=("00" * 32,),
        code_version="0.1.0",
        erased_count=1,
    )


def test_datasets_are_listed_found_and_compared(front: Front, workspace: Workspace) -> None:
    """Lists page newest first, ids may be cut, and a difference names the changed labels."""
    for version in (dataset(1, card=3, fee=1), dataset(2, card=3, login=2), dataset(3, card=1)):
        workspace.storage.datasets.add(version)
    seen, token = [], ""
    while True:
        page = front.datasets.ListDatasetVersions(
            dataset_service_pb2.ListDatasetVersionsRequest(
                task="support", page_size=2, page_token=token
            ),
            timeout=10,
        )
        seen += [version.dataset_version[:2] for version in page.dataset_versions]
        if not (token := page.next_page_token):
            break
    assert seen == ["03", "02", "01"]
    get = dataset_service_pb2.GetDatasetVersionRequest(dataset_version="02" * 6)
    found = front.datasets.GetDatasetVersion(get, timeout=10).dataset_version
    assert dict(found.label_counts) == {"card": 3, "login": 2}
    ((source, outcomes),) = [(each.source, dict(each.outcomes)) for each in found.source_counts]
    assert (source, outcomes) == ("files", {"kept": 5, "merged": 2})
    assert (list(found.parents), found.code_version) == (["00" * 32], "0.1.0")
    assert found.erased_count == 1
    difference = front.datasets.DiffDatasetVersions(
        dataset_service_pb2.DiffDatasetVersionsRequest(
            base_dataset_version="01" * 32, dataset_version="02" * 32
        ),
        timeout=10,
    )
    assert (difference.base_row_count, difference.row_count) == (4, 5)
    changes = [
        (change.label, change.base_count, change.count, change.base_share, change.share)
        for change in difference.label_changes
    ]
    assert changes == [
        ("card", 3, 3, 0.75, 0.6),
        ("fee", 1, 0, 0.25, 0.0),
        ("login", 0, 2, 0.0, 0.4),
    ]
    for wrong in ("", "ff" * 32, "0", "\0"):
        request = dataset_service_pb2.GetDatasetVersionRequest(dataset_version=wrong)
        refused = refusal(partial(front.datasets.GetDatasetVersion, request, timeout=10))
        assert words(refused) == ("NOT_FOUND", "DATASET_VERSION_NOT_FOUND", "")


def report(report_id: str, verdict: ReportVerdict) -> Report:
    """Return a report."""
    return Report(
        report_id=report_id,
        task="support",
        kind="drift",
        model_version=1,
        verdict=verdict,
        summary="texts have changed",
        details={"psi": 0.4, "by_label": {"card": 2}},
        run_id="run",
        create_time=NOW,
    )


def test_reports_and_alerts_are_shown_and_taken_on(front: Front, workspace: Workspace) -> None:
    """A report has its figures; only the first acknowledgment of an alert counts."""
    workspace.storage.reports.add(report("fine", ReportVerdict.OK))
    alert = workspace.storage.alerts.raise_alert(
        report("bad", ReportVerdict.ALERT), Severity.CRITICAL, "look", [], timedelta()
    )
    monitoring, pb = front.monitoring, monitoring_service_pb2
    found = monitoring.GetReport(pb.GetReportRequest(report_id="bad"), timeout=10).report
    assert found.verdict == pb.REPORT_VERDICT_ALERT
    assert found.details["psi"] == 0.4
    by_label: Any = found.details["by_label"]
    assert by_label["card"] == 2
    listed = monitoring.ListReports(pb.ListReportsRequest(task="support", kind="drift"), timeout=10)
    assert [each.report_id for each in listed.reports] == ["bad", "fine"]
    open_alerts = pb.ListAlertsRequest(task="support", unacknowledged_only=True)
    [shown] = monitoring.ListAlerts(open_alerts, timeout=10).alerts
    assert (shown.severity, shown.advice) == (pb.SEVERITY_CRITICAL, "look")
    for actor in ("ann", "bob"):
        asked = pb.AcknowledgeAlertRequest(alert_id=alert.alert_id, actor=actor)
        taken = monitoring.AcknowledgeAlert(asked, timeout=10).alert
        assert taken.acknowledged_by == "ann"
        assert taken.HasField("acknowledge_time")
    assert len(monitoring.ListAlerts(open_alerts, timeout=10).alerts) == 0
    unresolved = pb.ListAlertsRequest(unresolved_only=True)
    assert len(monitoring.ListAlerts(unresolved, timeout=10).alerts) == 1
    workspace.storage.alerts.resolve_alert(report("good", ReportVerdict.OK))
    assert len(monitoring.ListAlerts(unresolved, timeout=10).alerts) == 0


def test_a_silence_has_an_end_and_a_reason(front: Front) -> None:
    """It is listed until it is ended; one that cannot be is refused with the field and the rule."""
    monitoring, pb = front.monitoring, monitoring_service_pb2
    end = Timestamp()
    end.FromDatetime(datetime.now(UTC) + timedelta(hours=2))
    asked = pb.SilenceAlertsRequest(
        task="support", kind="drift", end_time=end, reason="a campaign", actor="ann"
    )
    made = monitoring.SilenceAlerts(asked, timeout=10).silence
    assert (made.task, made.kind, made.actor, made.reason) == (
        *("support", "drift", "ann", "a campaign"),
    )
    active = pb.ListSilencesRequest(active_only=True)
    assert list(monitoring.ListSilences(active, timeout=10).silences) == [made]
    ended = monitoring.EndSilence(pb.EndSilenceRequest(silence_id=made.silence_id), timeout=10)
    assert ended.silence.end_time.ToDatetime() < end.ToDatetime()
    assert list(monitoring.ListSilences(active, timeout=10).silences) == []
    assert len(monitoring.ListSilences(pb.ListSilencesRequest(), timeout=10).silences) == 1
    past, distant, never = Timestamp(seconds=1), Timestamp(seconds=2**33), Timestamp(seconds=2**60)
    for changed, wrong in (
        ({"reason": " "}, ("INVALID_ARGUMENT", "BLANK_TEXT", "reason")),
        ({"kind": "drfit"}, ("INVALID_ARGUMENT", "UNKNOWN_KIND", "kind")),
        ({"task": "suport"}, ("INVALID_ARGUMENT", "UNKNOWN_TASK", "task")),
        ({"end_time": past}, ("INVALID_ARGUMENT", "INVALID_END_TIME", "end_time")),
        ({"end_time": distant}, ("INVALID_ARGUMENT", "INVALID_END_TIME", "end_time")),
        ({"end_time": None}, ("INVALID_ARGUMENT", "INVALID_END_TIME", "end_time")),
        ({"end_time": never}, ("INVALID_ARGUMENT", "INVALID_TIME", "end_time")),
    ):
        values = {"task": "", "kind": "", "end_time": end, "reason": "why", **changed}
        request = pb.SilenceAlertsRequest(**values)
        assert words(refusal(partial(monitoring.SilenceAlerts, request, timeout=10))) == wrong
    end_none = pb.EndSilenceRequest(silence_id="none")
    refused = refusal(partial(monitoring.EndSilence, end_none, timeout=10))
    assert words(refused) == ("NOT_FOUND", "SILENCE_NOT_FOUND", "")


def test_what_is_not_there_is_not_found(front: Front) -> None:
    """Unknown reports and alerts are NOT_FOUND with a reason."""
    pb = monitoring_service_pb2
    get = pb.GetReportRequest(report_id="none")
    refused = refusal(lambda: front.monitoring.GetReport(get, timeout=10))
    assert words(refused) == ("NOT_FOUND", "REPORT_NOT_FOUND", "")
    take = pb.AcknowledgeAlertRequest(alert_id="none", actor="ann")
    refused = refusal(lambda: front.monitoring.AcknowledgeAlert(take, timeout=10))
    assert words(refused) == ("NOT_FOUND", "ALERT_NOT_FOUND", "")
    long = pb.AcknowledgeAlertRequest(alert_id="none", actor="a" * 201)
    refused = refusal(lambda: front.monitoring.AcknowledgeAlert(long, timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", "VALUE_TOO_LONG", "actor")
