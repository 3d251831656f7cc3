"""The front's Prometheus metrics.

The methods of `Metrics` return *bound children*, which hot paths keep or look up, because
`labels()` of prometheus_client costs more than an observation. They also bound values before these
become labels, so no other code calls `labels()`. Values that change with every request use
`hot_path`, and belong to the event loop's thread.

With several workers, each writes its values to files in a shared folder and answers for all, as in
prometheus_client's multiprocess mode (`shared_values`).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import Counter, Gauge

from tidemill_server.telemetry.families import Families
from tidemill_server.telemetry.hot_path import Count, Distribution, Level
from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.shared_values import SharedValues

_Child = TypeVar("_Child")
_Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MethodMetrics:
    """The metrics of a method."""

    in_flight: Level
    seconds: Distribution


@dataclass(frozen=True, slots=True)
class PredictionMetrics:
    """The metrics of a method, task and version."""

    total: Count
    seconds: Distribution


@dataclass(frozen=True, slots=True)
class TaskMetrics:
    """The metrics of a task, named as the attributes of `Metrics`."""

    queue_seconds: Distribution
    batch_rows: Distribution
    tokenization_seconds: Distribution
    overhead_seconds: Distribution
    admission_limit: Gauge
    admitted_rows: Gauge
    queued_rows: Gauge
    triton_calls_in_flight: Gauge


class Metrics(Families):
    """All metrics.

    Args:
        labels: bounds the label values.
        version: Tidemill's version.
        shared: the values that other workers see; None for a process without other workers.
    """

    def __init__(self, labels: Labels, version: str, shared: SharedValues | None = None) -> None:
        self._shared = shared
        if shared is not None:
            shared.share()
        super().__init__(version)
        self._labels = labels
        self._saving = threading.Lock()
        method, task, reason = labels.method, labels.task, labels.reason
        prediction = labels.prediction_method
        self._methods = _Children(lambda m: (method(m),), self._new_method)
        self._ended = _Children(
            lambda m, code, r: (method(m), labels.code(code), reason(r)),
            _counts(self.requests_total),
        )
        self._predictions = _Children(
            lambda m, t, version: (prediction(m), task(t), labels.version(t, version)),
            self._new_prediction,
        )
        self._prediction_errors = _Children(
            lambda m, t, r: (prediction(m), task(t), reason(r)),
            _counts(self.prediction_errors_total),
        )
        self._tasks = _Children(lambda t: (task(t),), self._new_task)
        self._triton = _Children(
            lambda t, version: (task(t), labels.version(t, version)),
            lambda *values: Distribution(self.triton_seconds.labels(*values)),
        )
        self._shed = _Children(lambda t, r: (task(t), reason(r)), _counts(self.shed_total))

    def save(self) -> None:
        """Save the values for other workers; the endpoint does it every half second."""
        if self._shared is not None:
            with self._saving:
                self._shared.save()

    def method(self, method: str) -> MethodMetrics:
        """Return the metrics of a method, such as `PredictionService/Predict`."""
        return self._methods[method,]

    def ended(self, method: str, code: str, reason: str) -> Count:
        """Return `tidemill_requests_total` for calls that end.

        Args:
            method: such as `PredictionService/Predict`.
            code: name of a `grpc.StatusCode`.
            reason: a `TidemillError`'s reason; empty if the code is OK.
        """
        return self._ended[method, code, reason]

    def predicted(self, method: str, task: str, version: int) -> PredictionMetrics:
        """Return the metrics of predictions.

        Args:
            method: the method that predictions are stored with, such as `Predict`.
            task: the task's name.
            version: the version that answered.
        """
        return self._predictions[method, task, str(version)]

    def prediction_failed(self, method: str, task: str, reason: str) -> Count:
        """Return `tidemill_prediction_errors_total`; arguments as for `predicted` and `ended`."""
        return self._prediction_errors[method, task, reason]

    def task(self, task: str) -> TaskMetrics:
        """Return the metrics of a task."""
        return self._tasks[task,]

    def triton(self, task: str, version: int) -> Distribution:
        """Return `tidemill_triton_seconds` of a task's version."""
        return self._triton[task, str(version)]

    def shed(self, task: str, reason: str) -> Count:
        """Return `tidemill_shed_total` for a task's requests that are refused for a reason."""
        return self._shed[task, reason]

    def auth_failed(self, reason: str) -> Counter:
        """Return `tidemill_auth_failures_total` for an error's reason."""
        return self.auth_failures_total.labels(self._labels.reason(reason))

    def _new_method(self, method: str) -> MethodMetrics:
        in_flight = Level(self.in_flight_requests.labels(method))
        return MethodMetrics(in_flight, Distribution(self.request_seconds.labels(method)))

    def _new_prediction(self, *values: str) -> PredictionMetrics:
        total = Count(self.predictions_total.labels(*values))
        return PredictionMetrics(total, Distribution(self.prediction_seconds.labels(*values)))

    def _new_task(self, task: str) -> TaskMetrics:
        return TaskMetrics(
            queue_seconds=Distribution(self.queue_seconds.labels(task)),
            batch_rows=Distribution(self.batch_rows.labels(task)),
            tokenization_seconds=Distribution(self.tokenization_seconds.labels(task)),
            overhead_seconds=Distribution(self.overhead_seconds.labels(task)),
            admission_limit=self.admission_limit.labels(task),
            admitted_rows=self.admitted_rows.labels(task),
            queued_rows=self.queued_rows.labels(task),
            triton_calls_in_flight=self.triton_calls_in_flight.labels(task),
        )


class _Children(dict[_Values, _Child]):
    """Bound children by their bounded label values; any other values find the same children.

    Args:
        bound: bounds label values.
        new: makes a child for bounded values.
    """

    def __init__(self, bound: Callable[..., _Values], new: Callable[..., _Child]) -> None:
        super().__init__()
        self._bound = bound
        self._new = new

    def __missing__(self, values: _Values) -> _Child:
        bounded = self._bound(*values)
        if bounded not in self:
            self[bounded] = self._new(*bounded)
        return self[bounded]


def _counts(counter: Counter) -> Callable[..., Count]:
    return lambda *values: Count(counter.labels(*values))
