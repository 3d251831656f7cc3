"""The metrics by their names; `docs/observability.md` explains each.

The gauges' `live…` modes are for several workers: a worker's gauges disappear with it, and its
counters stay.
"""

from platform import python_version
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

LogOutcome = Literal["database", "spooled", "replayed", "sampled_out", "lost"]
"""Where a prediction went: each is counted once where it first goes, and again when replayed."""
LineOutcome = Literal["written", "dropped"]
"""Whether a line of the access log was written."""

# Seconds, from 0.5 ms to 10 s, close to each other around 50 ms, the target of the p99.
_SECONDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075),
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Families:
    """All metrics, in their own registry, as attributes without the prefix `tidemill_`.

    Args:
        version: Tidemill's version.
    """

    def __init__(self, version: str) -> None:
        disable_created_metrics()  # the unused `_created` series
        self.registry = CollectorRegistry()
        self._make_request_metrics()
        self._make_inference_metrics()
        self._make_admission_metrics()
        self._make_log_metrics()
        self.build_info = self._gauge(
            "build_info", "Always 1.", ("version", "python"), mode="livemax"
        )
        self.build_info.labels(version, python_version()).set(1)

    def _make_request_metrics(self) -> None:
        method = ("method",)
        self.requests_total = self._counter(
            "requests_total", "RPCs that ended.", ("method", "code", "reason")
        )
        self.request_seconds = self._seconds(
            "request_seconds", "From an RPC's start to its end.", method
        )
        self.in_flight_requests = self._gauge("in_flight_requests", "RPCs in flight.", method)
        self.auth_failures_total = self._counter(
            "auth_failures_total", "Calls that were refused for who called.", ("reason",)
        )
        self.access_log_lines_total = self._counter(
            "access_log_lines_total", "Lines of the access log.", ("outcome",)
        )
        self.access_log_lines = {
            each: self.access_log_lines_total.labels(each) for each in get_args(LineOutcome)
        }

    def _make_inference_metrics(self) -> None:
        task = ("task",)
        version = ("method", "task", "version")
        self.predictions_total = self._counter("predictions_total", "Predictions made.", version)
        self.prediction_errors_total = self._counter(
            "prediction_errors_total", "Texts without an answer.", ("method", "task", "reason")
        )
        self.prediction_seconds = self._seconds(
            "prediction_seconds", "From a request's arrival to its prediction.", version
        )
        self.queue_seconds = self._seconds("queue_seconds", "Wait for a turn at Triton.", task)
        self.batch_rows = Histogram(
            "tidemill_batch_rows",
            "Rows of a Triton call.",
            task,
            registry=self.registry,
            buckets=_ROWS,
        )
        self.tokenization_seconds = self._seconds(
            "tokenization_seconds", "Encoding the texts of a Triton call.", task
        )
        self.triton_seconds = self._seconds("triton_seconds", "A Triton call.", ("task", "version"))
        self.overhead_seconds = self._seconds(
            "overhead_seconds", "A request's time that was neither queueing nor Triton.", task
        )

    def _make_admission_metrics(self) -> None:
        task = ("task",)
        self.admission_limit = self._gauge(
            "admission_limit", "Rows that may be in the system.", task
        )
        self.admitted_rows = self._gauge("admitted_rows", "Rows in the system.", task)
        self.queued_rows = self._gauge("queued_rows", "Rows that wait for their turn.", task)
        self.triton_calls_in_flight = self._gauge(
            "triton_calls_in_flight", "Triton calls in flight.", task
        )
        self.shed_total = self._counter(
            "shed_total", "Requests refused for overload.", ("task", "reason")
        )

    def _make_log_metrics(self) -> None:
        self.log_rows_total = self._counter(
            "log_rows_total", "Rows of the prediction log.", ("outcome",)
        )
        self.log_rows = {each: self.log_rows_total.labels(each) for each in get_args(LogOutcome)}
        self.log_lag_seconds = self._gauge(
            "log_lag_seconds", "Age of the oldest prediction not in the database.", mode="livemax"
        )
        self.log_held_rows = self._gauge("log_held_rows", "Predictions in memory, not written yet.")
        self.spool_bytes = self._gauge(
            "spool_bytes", "Size of the spool that the workers share.", mode="livemax"
        )

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"tidemill_{name}", meaning, labels, registry=self.registry)

    def _seconds(self, name: str, meaning: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(
            f"tidemill_{name}", meaning, labels, registry=self.registry, buckets=_SECONDS
        )

    def _gauge(
        self,
        name: str,
        meaning: str,
        labels: tuple[str, ...] = (),
        mode: Literal["livesum", "livemax"] = "livesum",
    ) -> Gauge:
        return Gauge(
            f"tidemill_{name}", meaning, labels, registry=self.registry, multiprocess_mode=mode
        )
