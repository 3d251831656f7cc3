"""Metrics, and the bound on their number."""

import pytest
from prometheus_client import generate_latest

from tests.unit.server.telemetry.conftest import PREDICT, make_metrics
from tidemill.v1 import prediction_service_pb2
from tidemill_server.telemetry.labels import MAX_REASONS, MAX_VERSIONS, method_label, method_labels
from tidemill_server.telemetry.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return a sample; None if there is none."""
    return metrics.registry.get_sample_value(f"tidemill_{name}", labels)


def series(metrics: Metrics) -> int:
    """Return the number of series."""
    return sum(len(family.samples) for family in metrics.registry.collect())


def test_a_request_is_counted_once_with_how_it_ended(metrics: Metrics) -> None:
    """Method, code and reason are labels, and the time is in the method's histogram."""
    metrics.ended(PREDICT, "NOT_FOUND", "ALERT_NOT_FOUND").inc()
    metrics.method(PREDICT).seconds.observe(0.004)
    labels = {"method": PREDICT, "code": "NOT_FOUND", "reason": "ALERT_NOT_FOUND"}
    assert value(metrics, "requests_total", **labels) == 1
    assert value(metrics, "request_seconds_bucket", method=PREDICT, le="0.005") == 1
    assert value(metrics, "request_seconds_bucket", method=PREDICT, le="0.003") == 0


def test_requests_in_flight_are_those_that_have_not_ended(metrics: Metrics) -> None:
    """The gauge follows the hot path."""
    metrics.method(PREDICT).in_flight.inc()
    metrics.method(PREDICT).in_flight.inc()
    assert value(metrics, "in_flight_requests", method=PREDICT) == 2
    metrics.method(PREDICT).in_flight.dec()
    assert value(metrics, "in_flight_requests", method=PREDICT) == 1


def test_a_child_is_bound_once(metrics: Metrics) -> None:
    """A lookup returns the same object, so it costs little."""
    assert metrics.method(PREDICT) is metrics.method(PREDICT)
    assert metrics.predicted("Predict", "support", 3) is metrics.predicted("Predict", "support", 3)
    assert metrics.task("support") is metrics.task("support")
    assert metrics.method("no/one") is metrics.method("no/other")


def test_unknown_names_share_one_series(metrics: Metrics) -> None:
    """Methods and tasks that callers invent do not add series."""

    def invent(i: int) -> None:
        metrics.method(f"Service/{i}").seconds.observe(1)
        metrics.ended(f"Service/{i}", f"CODE_{i}", "").inc()
        metrics.predicted(f"Way{i}", f"task{i}", 1).total.inc()
        metrics.prediction_failed(f"Way{i}", f"task{i}", "UNKNOWN_TASK").inc()
        metrics.task(f"task{i}").queue_seconds.observe(1)
        metrics.triton(f"task{i}", 1).observe(1)
        metrics.shed(f"task{i}", "OVERLOADED").inc()

    invent(0)
    before = series(metrics)
    for i in range(1, 50):
        invent(i)
    assert series(metrics) == before
    assert value(metrics, "requests_total", method="unknown", code="UNKNOWN", reason="") == 50
    assert value(metrics, "shed_total", task="unknown", reason="OVERLOADED") == 50


def test_versions_and_reasons_have_a_bound(metrics: Metrics) -> None:
    """Values beyond the bound are `other`; earlier ones keep their own series."""
    for version in range(1, MAX_VERSIONS + 11):
        metrics.triton("support", version).observe(0.01)
    for number in range(MAX_REASONS + 5):
        metrics.ended(PREDICT, "INTERNAL", f"REASON_{number}").inc()
    metrics.triton("support", 1).observe(0.01)
    assert value(metrics, "triton_seconds_count", task="support", version="1") == 2
    assert value(metrics, "triton_seconds_count", task="support", version="other") == 10
    assert value(metrics, "requests_total", method=PREDICT, code="INTERNAL", reason="other") == 5


def test_two_registries_do_not_mix() -> None:
    """Two fronts in one process have separate metrics."""
    one, other = make_metrics(), make_metrics()
    one.log_rows["lost"].inc(3)
    assert value(one, "log_rows_total", outcome="lost") == 3
    assert value(other, "log_rows_total", outcome="lost") == 0


def test_the_build_is_told(metrics: Metrics) -> None:
    """Tidemill's version is a label of a series that is always 1."""
    assert b'tidemill_build_info{python="3.' in generate_latest(metrics.registry)
    assert b'version="0.1.0"} 1.0' in generate_latest(metrics.registry)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/tidemill.v1.PredictionService/Predict", "PredictionService/Predict"),
        ("/inference.GRPCInferenceService/ModelInfer", "GRPCInferenceService/ModelInfer"),
        ("/grpc.health.v1.Health/Check", "Health/Check"),
    ],
)
def test_a_methods_label_leaves_the_package_out(path: str, label: str) -> None:
    """The label has the service and the method."""
    assert method_label(path) == label


def test_all_methods_of_a_service_are_known() -> None:
    """The labels come from the contract."""
    names = {"GetPrediction", "Predict", "BatchPredict", "StreamPredict"}
    expected = {f"PredictionService/{name}" for name in names}
    assert method_labels(prediction_service_pb2.DESCRIPTOR.services_by_name.values()) == expected
