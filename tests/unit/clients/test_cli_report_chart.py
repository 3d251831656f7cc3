"""The plot of a figure over time."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tidemill.v1.monitoring_service_pb2 import Report
from tidemill_cli.report_chart import chart

START = datetime(2026, 11, 1, tzinfo=UTC)


def history(kind: str, *details: dict[str, Any]) -> list[Report]:
    """Return a day's report for each of the details, newest first."""
    reports = []
    for day, each in enumerate(details):
        report = Report(kind=kind)
        report.details.update(each)
        report.create_time.FromDatetime(START + timedelta(days=day))
        reports.append(report)
    return reports[::-1]


def test_a_figure_has_its_interval_and_limit() -> None:
    """The line goes from the first report to the newest; one without the figure is left out."""
    ends = {"accuracy_low": 0.8, "accuracy_high": 1.0}
    limit = {"baseline_accuracy": 0.95, "max_accuracy_drop": 0.05}
    drawn = chart(
        "accuracy",
        history(
            "accuracy",
            {"accuracy": 0.8},
            {"prediction_count": 3},
            {"accuracy": 0.9, **ends, **limit},
        ),
    )
    assert re.findall(r'polyline points="([^"]+)"', drawn) == ["0.0,120.0 600.0,60.0"]
    assert re.findall(r'polygon points="([^"]+)"', drawn) == [
        "0.0,120.0 600.0,120.0 600.0,0.0 0.0,120.0"
    ]
    assert 'y1="60.0"' in drawn
    assert "dashed: an alert&#x27;s limit, 0.9" in drawn


def test_one_report_or_a_figure_that_stays_needs_no_scale() -> None:
    """One point is no line, and equal values are a line in the middle."""
    assert chart("latency", history("latency", {"p99_latency_ms": 4})) == ""
    same = {"p99_latency_ms": 4}
    drawn = chart("latency", history("latency", same, same))
    assert "0.0,60.0 600.0,60.0" in drawn
