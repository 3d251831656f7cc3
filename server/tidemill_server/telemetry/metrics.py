"""The front's Prometheus metrics.

The methods of `Metrics` give the *bound children* that hot paths keep or ask for: `labels()` of
prometheus_client costs more than the observation. They are also where values are bounded before
they become labels, so nothing else calls `labels()`. What changes with every request is of
`hot_path`, and belongs to the event loop's thread.

With several workers, each writes its values to files in a folder that they share, and each answers
for all, as in prometheus_client's multiprocess mode (`shared_values`).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge

from tidemill_server.telemetry.families import Families, LogOutcome
from tidemill_server.telemetry.hot_path import Count, Distribution, Level
from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.shared_values import SharedValues

_Child = TypeVar("_Child")


@dataclass(frozen=True, slots=True)
class MethodMetrics:
    """Of one method."""

    in_flight: Level
    seconds: Distribution


@dataclass(frozen=True, slots=True)
class PredictionMetrics:
    """Of one method, task and version."""

    total: Count
    seconds: Distribution


@dataclass(frozen=True, slots=True)
class TaskMetrics:
    """Of one task; named as the attributes of `Metrics`."""

    queue_seconds: Distribution
    batch_rows: Distribution
    tokenization_seconds: Distribution
    overhead_seconds: Distribution
    admission_limit: Gauge
    admitted_rows: Gauge
    queued_rows: Gauge
    triton_calls_in_flight: Gauge


class Metrics(Families):
    """Every metric.

    Args:
        labels: bounds the values of the labels.
        version: of Tidemill.
        shared: what other workers see of them; None for a process that is the only one.
    """

    def __init__(self, labels: Labels, version: str, shared: SharedValues | None = None) -> None:
        self._shared = shared
        if shared is not None:
            shared.share()
        super().__init__(version)
        self._labels = labels
        self._saving = threading.Lock()
        self._methods = _Children(self._bind_method)
        self._ended = _Children(self._bind_ended)
        self._predictions = _Children(self._bind_prediction)
        self._prediction_errors = _Children(self._bind_prediction_error)
        self._tasks = _Children(self._bind_task)
        self._triton = _Children(self._bind_triton)
        self._shed = _Children(self._bind_shed)

    def save(self) -> None:
        """Write what other workers see; the endpoint does it every half second."""
        if self._shared is not None:
            with self._saving:
                self._shared.save()

    def method(self, method: str) -> MethodMetrics:
        """What is observed of a method's calls.

        Args:
            method: as `method_label` makes it, such as `PredictionService/Predict`.
        """
        return self._methods.get((method,)) or self._methods.make(self._labels.method(method))

    def ended(self, method: str, code: str, reason: str) -> Count:
        """`tidemill_requests_total` of calls that end so.

        Args:
            method: as for `method`.
            code: name of a `grpc.StatusCode`.
            reason: a `TidemillError`'s; empty when the code is OK.
        """
        found = self._ended.get((method, code, reason))
        if found is not None:
            return found
        labels = self._labels
        return self._ended.make(labels.method(method), labels.code(code), labels.reason(reason))

    def predicted(self, method: str, task: str, version: int) -> PredictionMetrics:
        """What is observed of predictions that were made.

        Args:
            method: as predictions are stored with, such as `Predict`.
            task: its name.
            version: of the model that answered.
        """
        name = str(version)
        found = self._predictions.get((method, task, name))
        if found is not None:
            return found
        labels = self._labels
        return self._predictions.make(
            labels.prediction_method(method), labels.task(task), labels.version(task, name)
        )

    def prediction_failed(self, method: str, task: str, reason: str) -> Count:
        """`tidemill_prediction_errors_total`, with labels as for `predicted` and `ended`."""
        found = self._prediction_errors.get((method, task, reason))
        if found is not None:
            return found
        labels = self._labels
        return self._prediction_errors.make(
            labels.prediction_method(method), labels.task(task), labels.reason(reason)
        )

    def task(self, task: str) -> TaskMetrics:
        """What is observed of a task, whatever the version."""
        return self._tasks.get((task,)) or self._tasks.make(self._labels.task(task))

    def triton(self, task: str, version: int) -> Distribution:
        """`tidemill_triton_seconds` of a version of a task."""
        name = str(version)
        found = self._triton.get((task, name))
        if found is not None:
            return found
        return self._triton.make(self._labels.task(task), self._labels.version(task, name))

    def shed(self, task: str, reason: str) -> Count:
        """`tidemill_shed_total` of a task's requests that are refused for a reason."""
        found = self._shed.get((task, reason))
        if found is not None:
            return found
        return self._shed.make(self._labels.task(task), self._labels.reason(reason))

    def logged(self, outcome: LogOutcome) -> Counter:
        """`tidemill_log_rows_total` of an outcome."""
        return self.log_rows[outcome]

    def auth_failed(self, reason: str) -> Counter:
        """`tidemill_auth_failures_total` of an `AuthError`'s reason."""
        return self.auth_failures_total.labels(self._labels.reason(reason))

    def _bind_method(self, method: str) -> MethodMetrics:
        in_flight = Level(self.in_flight_requests.labels(method))
        return MethodMetrics(in_flight, Distribution(self.request_seconds.labels(method)))

    def _bind_ended(self, *values: str) -> Count:
        return Count(self.requests_total.labels(*values))

    def _bind_prediction(self, *values: str) -> PredictionMetrics:
        total = Count(self.predictions_total.labels(*values))
        return PredictionMetrics(total, Distribution(self.prediction_seconds.labels(*values)))

    def _bind_prediction_error(self, *values: str) -> Count:
        return Count(self.prediction_errors_total.labels(*values))

    def _bind_shed(self, *values: str) -> Count:
        return Count(self.shed_total.labels(*values))

    def _bind_triton(self, *values: str) -> Distribution:
        return Distribution(self.triton_seconds.labels(*values))

    def _bind_task(self, task: str) -> TaskMetrics:
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


class _Children(Generic[_Child]):
    """Bound children by their label values, which are bounded when a child is made."""

    def __init__(self, bind: Callable[..., _Child]) -> None:
        self._bind = bind
        self._made: dict[tuple[str, ...], _Child] = {}
        self._making = threading.Lock()
        self.get = self._made.get

    def make(self, *values: str) -> _Child:
        """The child for values that are bounded already; it may be there under these."""
        with self._making:
            if values not in self._made:
                self._made[values] = self._bind(*values)
            return self._made[values]
