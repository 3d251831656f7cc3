"""The tables of reports and alerts."""

from dataclasses import replace
from datetime import UTC

import pytest

from tests.contract.storage.values import NOW, later, report
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.errors import NotFound
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage


def test_reads_back_what_was_written(storage: Storage) -> None:
    """A report comes back equal, including its details, in UTC."""
    storage.reports.add(report("a"))
    found = storage.reports.get("a")
    assert found == report("a")
    assert found.create_time.tzinfo is UTC


def test_unknown_report(storage: Storage) -> None:
    """An unknown report id is NotFound."""
    with pytest.raises(NotFound, match="report"):
        storage.reports.get("a")


@pytest.mark.parametrize("verdict", [ReportVerdict.OK, ReportVerdict.INSUFFICIENT])
def test_no_alert_without_reason(storage: Storage, verdict: ReportVerdict) -> None:
    """A report that is OK or INSUFFICIENT raises no alert."""
    assert storage.reports.add(report("a", verdict)) is None
    assert storage.reports.alerts_page("", False, Page())[0] == []


def test_alerts(storage: Storage) -> None:
    """A report with the verdict ALERT raises one alert that refers to it."""
    alert = storage.reports.add(report("a", ReportVerdict.ALERT))
    assert alert is not None
    assert (alert.report_id, alert.kind, alert.message) == ("a", "drift", "labels moved")
    assert alert.acknowledge_time is None
    assert storage.reports.alerts_page("support", True, Page())[0] == [alert]
    assert storage.reports.alerts_page("arxiv", True, Page())[0] == []


def test_one_open_alert_of_a_kind(storage: Storage) -> None:
    """While an alert is open, reports of its task, kind and version raise no other."""
    first = storage.reports.add(report("a", ReportVerdict.ALERT))
    assert first is not None
    assert storage.reports.add(report("b", ReportVerdict.ALERT)) is None
    assert storage.reports.get("b").verdict is ReportVerdict.ALERT
    other_version = replace(report("c", ReportVerdict.ALERT), model_version=2)
    assert storage.reports.add(other_version) is not None
    assert storage.reports.add(report("d", ReportVerdict.ALERT, kind="latency")) is not None
    storage.reports.acknowledge(first.alert_id, "ana", later(5))
    assert storage.reports.add(report("e", ReportVerdict.ALERT)) is not None


def test_acknowledge(storage: Storage) -> None:
    """The first acknowledgement stays, and the alert is no longer open."""
    alert = storage.reports.add(report("a", ReportVerdict.ALERT))
    assert alert is not None
    taken = storage.reports.acknowledge(alert.alert_id, "ana", later(5))
    assert (taken.acknowledged_by, taken.acknowledge_time) == ("ana", later(5))
    assert taken.acknowledge_time is not None
    assert taken.acknowledge_time.tzinfo is UTC
    assert storage.reports.acknowledge(alert.alert_id, "ben", later(9)) == taken
    assert storage.reports.alerts_page("", True, Page())[0] == []
    assert storage.reports.alerts_page("", False, Page())[0] == [taken]


def test_unknown_alert(storage: Storage) -> None:
    """An unknown alert id is NotFound."""
    with pytest.raises(NotFound, match="alert"):
        storage.reports.acknowledge("a", "ana", NOW)


def _alarm(report_id: str, model_version: int) -> Report:
    """Return a report that raises an alert; each version has its own."""
    return replace(report(report_id, ReportVerdict.ALERT), model_version=model_version)


def test_pages(storage: Storage) -> None:
    """Pages have each report and alert once, newest first, although some are added."""
    for number in range(5):
        storage.reports.add(_alarm(f"r{number}", number))
    storage.reports.add(report("other", kind="accuracy"))
    seen, token = storage.reports.page("support", "drift", Page(2))
    alerts, alert_token = storage.reports.alerts_page("", False, Page(2))
    while token:
        storage.reports.add(_alarm(f"late{len(seen)}", 10 + len(seen)))
        rows, token = storage.reports.page("support", "drift", Page.parse(2, token))
        more, alert_token = storage.reports.alerts_page("", False, Page.parse(2, alert_token))
        seen += rows
        alerts += more
    newest_first = ["r4", "r3", "r2", "r1", "r0"]
    assert [one.report_id for one in seen] == newest_first
    assert [one.report_id for one in alerts] == newest_first
    assert alert_token == ""
