"""Metrics for tests."""

import pytest

from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics

PREDICT = "PredictionService/Predict"


def make_metrics() -> Metrics:
    """Return metrics of a front with one method and one task."""
    return Metrics(Labels({PREDICT}, {"Predict"}, {"support"}), "0.1.0")


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics in their own registry."""
    return make_metrics()
