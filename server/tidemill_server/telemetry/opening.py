"""The metrics, traces and access log of a process, opened together."""

import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tidemill_core.domain.prediction import SHADOW_METHOD
from tidemill_core.settings import Settings
from tidemill_server.inference.query import METHODS
from tidemill_server.services.table import SERVICES
from tidemill_server.telemetry.access_log import AccessLog
from tidemill_server.telemetry.labels import Labels, method_labels
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.metrics_endpoint import MetricsEndpoint
from tidemill_server.telemetry.shared_values import SharedValues
from tidemill_server.telemetry.signals import Signals
from tidemill_server.telemetry.tracing import Tracing, open_tracing

WORKERS_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which several workers share their metrics."""


@dataclass
class Telemetry:
    """Metrics, the gauges of reports, traces and the access log."""

    metrics: Metrics
    signals: Signals
    endpoint: MetricsEndpoint
    tracing: Tracing
    access_log: AccessLog

    def close(self) -> None:
        """Write all pending data and stop listening."""
        self.tracing.close()
        self.access_log.close()
        self.endpoint.close()


def open_telemetry(settings: Settings) -> Telemetry:
    """Open metrics, traces and the access log.

    Raises:
        AlreadyRunning: the metrics port is taken.
        ConfigurationError: a setting cannot be used.
    """
    release = version("tidemill")
    methods = (*METHODS, SHADOW_METHOD)
    labels = Labels(method_labels(SERVICES), methods, settings.tasks)
    folder = Path(os.environ[WORKERS_METRICS]) if WORKERS_METRICS in os.environ else None
    metrics = Metrics(labels, release, SharedValues(folder) if folder else None)
    signals = Signals(settings.tasks)
    endpoint = MetricsEndpoint(metrics, folder, [signals])
    endpoint.start(settings.metrics_host, settings.metrics_port)
    tracing = open_tracing(settings.tracing, release, settings.tasks)
    access_log = AccessLog(settings.state_dir / "logs" / "access.log", metrics)
    return Telemetry(metrics, signals, endpoint, tracing, access_log)
