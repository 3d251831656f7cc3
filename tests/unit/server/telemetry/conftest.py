"""Metrics of a front with one task."""

import pytest

from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics

PREDICT = "PredictionService/Predict"


def make_metrics() -> Metrics:
    """Metrics of a front with one method and one task."""
    return Metrics(Labels({PREDICT}, {"Predict"}, {"support"}), "0.1.0")


@pytest.fixture
def metrics() -> Metrics:
    """Metrics in a registry of their own."""
    return make_metrics()
