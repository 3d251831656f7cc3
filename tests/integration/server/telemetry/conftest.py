"""Metrics of a front with one task."""

from tests.unit.server.telemetry.conftest import metrics

__all__ = ["metrics"]
