"""One of several workers, which shares a metrics folder and port until its input ends."""

import os
import sys
from pathlib import Path

from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.metrics_endpoint import MetricsEndpoint
from tidemill_server.telemetry.shared_values import SharedValues

PREDICT = "PredictionService/Predict"

folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
metrics = Metrics(Labels({PREDICT}, {"Predict"}, {"support"}), "0.1.0", SharedValues(folder))
metrics.ended(PREDICT, "OK", "").inc()
metrics.task("support").queued_rows.set(5)
metrics.task("support").queue_seconds.observe(0.01)
metrics.log_lag_seconds.set(1.5)
endpoint = MetricsEndpoint(metrics, folder)
print(endpoint.start("127.0.0.1", int(sys.argv[1])), flush=True)
sys.stdin.read()
