"""Counts of answered and failed texts, on their way to the database."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidemill_core.domain.outcomes import Outcomes
from tidemill_core.storage.storage import open_storage
from tidemill_server.inference.query import METHODS
from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.outcome_counts import OutcomeCounts

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def make_metrics() -> Metrics:
    """Return the metrics of a worker that has just started."""
    return Metrics(Labels(set(), {*METHODS, "Shadow"}, {"support"}), "0.1.0")


def test_the_increments_are_written_once_and_wait_for_the_database(tmp_path: Path) -> None:
    """Shadows, callers' faults and refusals do not count; a restarted process starts at 0."""
    storage = open_storage(f"sqlite:///{tmp_path / 'tidemill.db'}")
    metrics = make_metrics()
    counts = OutcomeCounts(metrics, storage.outcome_counts, lambda: NOW)

    def stored() -> Outcomes:
        return storage.outcome_counts.sums("support", NOW - timedelta(hours=1), NOW)

    metrics.predicted("Predict", "support", 1).total.inc(5)
    metrics.predicted("BatchPredict", "support", 2).total.inc(10)
    metrics.predicted("Shadow", "support", 2).total.inc(100)
    for reason in ("TRITON_UNAVAILABLE", "INTERNAL", "OVERLOADED", "TEXT_TOO_LONG"):
        metrics.prediction_failed("Predict", "support", reason).inc()
    counts.write()
    counts.write()
    assert stored() == Outcomes(15, 2)
    metrics.prediction_failed("StreamPredict", "support", "DEADLINE_EXCEEDED").inc()
    with storage.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE outcome_counts RENAME TO away")
    counts.write()
    with storage.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO outcome_counts")
    counts.write()
    assert stored() == Outcomes(15, 3)
    restarted = make_metrics()
    restarted.predicted("Predict", "support", 1).total.inc()
    OutcomeCounts(restarted, storage.outcome_counts, lambda: NOW).write()
    assert stored() == Outcomes(16, 3)
    storage.database.close()
