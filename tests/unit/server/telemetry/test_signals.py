"""The gauges of what the checks found."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.storage.storage import Storage, open_storage
from tidemill_server.telemetry.signals import Signals

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DETAILS: Mapping[str, Mapping[str, Any]] = {
    "accuracy": {
        "accuracy": 0.9,
        "accuracy_low": 0.88,
        "estimates": [{"source": "audits", "accuracy": 0.91, "low": None}, {"source": "feedback"}],
    },
    "drift": {"signals": [{"signal": "label", "distance": 0.2, "p_value": 0.01, "drifted": True}]},
    "latency": {
        "p99_latency_ms": 40.0,
        "error_rate": 0.002,
        "burn_rates": [
            {"long_hours": 6.0, "short_hours": 0.5, "long_burn_rate": 2.0, "short_burn_rate": 0.0},
            {"long_hours": 72.0, "short_hours": 6.0, "long_burn_rate": 1, "short_burn_rate": 2.0},
        ],
    },
    "feedback": {"held_count": 3, "attack": "none"},
}


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    """Yield a database without rows."""
    opened = open_storage(f"sqlite:///{tmp_path / 'tidemill.db'}")
    yield opened
    opened.database.close()


def gauges(signals: Signals, storage: Storage) -> dict[str, float]:
    """Read the reports and return the samples by name and label values, in order of the labels."""
    signals.read(storage.reports, storage.feedback, lambda: NOW)
    registry = CollectorRegistry()
    registry.register(signals)
    return {
        " ".join(
            (sample.name.removeprefix("tidemill_"), *(v for _, v in sorted(sample.labels.items())))
        ): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def add(storage: Storage, kind: str, verdict: ReportVerdict, details: Mapping[str, Any]) -> None:
    """Store a report."""
    name = f"{kind}{verdict}"
    storage.reports.add(Report(name, "support", kind, 1, verdict, "found", details, "run", NOW))


def test_each_figure_of_the_newest_reports_is_a_gauge(storage: Storage) -> None:
    """Figures that a report lacks are no series, and a window of two pairs is one."""
    signals = Signals(["support"])
    assert gauges(signals, storage) == {
        f"feedback_verdicts support {verdict}": 0.0 for verdict in ("right", "wrong", "label")
    }
    for kind, details in DETAILS.items():
        add(storage, kind, ReportVerdict.ALERT, {})
        add(storage, kind, ReportVerdict.OK, details)
    found = gauges(signals, storage)
    assert found["check_verdict accuracy support OK"] == 1.0
    assert found["check_verdict accuracy support ALERT"] == 0.0
    assert found["check_time_seconds drift support"] == NOW.timestamp()
    assert (found["accuracy overall support"], found["accuracy audits support"]) == (0.9, 0.91)
    assert found["accuracy_low overall support"] == 0.88
    assert "accuracy feedback support" not in found
    assert found["drift_distance label support"] == 0.2
    assert found["drift_p_value label support"] == 0.01
    assert found["drifted label support"] == 1.0
    assert found["checked_latency_seconds 0.99 support"] == 0.04
    assert found["error_rate support"] == 0.002
    burns = {name: value for name, value in found.items() if name.startswith("error_budget")}
    assert sorted(burns.values()) == [0.0, 1.0, 2.0]
    assert found["feedback_report held_count support"] == 3.0


def test_the_last_gauges_stay_while_the_database_is_away(storage: Storage) -> None:
    """A scrape gets them without waiting for the database."""
    signals = Signals(["support"])
    add(storage, "drift", ReportVerdict.OK, {"signals": [{"signal": "label", "distance": 0.3}]})
    before = gauges(signals, storage)
    with storage.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE reports")
    assert gauges(signals, storage) == before
