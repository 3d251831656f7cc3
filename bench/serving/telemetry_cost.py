"""The cost of metrics, traces and the access log per request.

    python -m bench.serving.telemetry_cost [--requests 100000]

The figures are CPU microseconds per request of the whole process, with the threads that flush and
write, in a process that does nothing else. Metrics are in files, as a worker's are.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tidemill_core.settings import TracingSettings
from tidemill_server.telemetry.access_log import AccessLog
from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.shared_values import SharedValues
from tidemill_server.telemetry.tracing import (
    Tracing,
    current_span,
    end_span,
    open_tracing,
    trace_id,
)

_FOLDER = Path(tempfile.mkdtemp())
_METHOD = "PredictionService/Predict"
_PEER = "ipv4:127.0.0.1:51234"
_TRACED = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
_NO_RECEIVER = "http://127.0.0.1:1"
"""An address without a receiver: spans are created and dropped."""


def cost(requests: int, one: Callable[[], None], end: Callable[[], None] = lambda: None) -> str:
    """Return CPU microseconds per request.

    Args:
        requests: number of requests.
        one: the work for each request.
        end: the work after all requests.
    """
    one()
    start = time.process_time()
    for _ in range(requests):
        one()
    end()
    return f"{(time.process_time() - start) / requests * 1e6:.1f}"


def of_metrics(metrics: Metrics, requests: int) -> str:
    """Return the cost of the metrics of one Predict."""

    def one() -> None:
        method, task = metrics.method(_METHOD), metrics.task("support")
        method.in_flight.inc()
        task.queue_seconds.observe(0.004)
        task.overhead_seconds.observe(0.002)
        predicted = metrics.predicted("Predict", "support", 1)
        predicted.total.inc()
        predicted.seconds.observe(0.01)
        method.in_flight.dec()
        method.seconds.observe(0.01)
        metrics.ended(_METHOD, "OK", "").inc()

    return cost(requests, one, metrics.save)


def of_the_access_log(metrics: Metrics, requests: int) -> str:
    """Return the cost of a line of the access log, including its write."""
    log = AccessLog(_FOLDER / "access.log", metrics)
    pause = requests // 20

    def line() -> None:
        nonlocal pause
        log.write(_METHOD, "OK", "", 0.01, task="support", caller="mobile-app", peer=_PEER)
        pause -= 1
        if not pause:  # otherwise the writing thread never catches up
            pause = requests // 20
            time.sleep(0.06)

    return cost(requests, line, log.close)


def of_traces(tracing: Tracing, requests: int, metadata: tuple[tuple[str, str], ...] = ()) -> str:
    """Return the cost of the span of a call."""

    def one() -> None:
        span = tracing.begin(_METHOD, metadata)
        current_span.set(span)
        end_span(span, "OK", "")
        trace_id(span)

    found = cost(requests, one)
    tracing.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=100_000)
    requests = parser.parse_args().requests
    shared = SharedValues(_FOLDER)
    metrics = Metrics(Labels({_METHOD}, {"Predict"}, {"support"}), "0", shared)
    untraced = TracingSettings(otlp_endpoint=_NO_RECEIVER, sample=0.0)
    rows = {
        "metrics": of_metrics(metrics, requests),
        "access log": of_the_access_log(metrics, requests),
        "traces off": of_traces(open_tracing(TracingSettings(), "0"), requests),
        "traces on, a call that is not traced": of_traces(open_tracing(untraced, "0"), requests),
        "traces on, a call that is": of_traces(open_tracing(untraced, "0"), requests, _TRACED),
    }
    table = Table("per request", "CPU, us")
    for row in rows.items():
        table.add_row(*row)
    Console().print(table)
    shutil.rmtree(_FOLDER)


if __name__ == "__main__":
    main()
