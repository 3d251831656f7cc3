"""The front's Prometheus metrics.

The methods of `Metrics` give the *bound children* that hot paths keep or ask for: `labels()` of
prometheus_client costs more than the observation. They are also where values are bounded before
they become labels, so nothing else calls `labels()`.

With several workers, each writes its values to files in a folder that they share, and each answers
for all: prometheus_client's multiprocess mode, which the environment variable
PROMETHEUS_MULTIPROC_DIR turns on before Python starts.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from tidemill_server.telemetry.families import Families, LogOutcome
from tidemill_server.telemetry.labels import Labels

_Child = TypeVar("_Child")


class Level:
    """A number that goes up and down with every call, on one thread; a gauge is set from it."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self) -> None:
        """One more."""
        self.value += 1

    def dec(self) -> None:
        """One less."""
        self.value -= 1


@dataclass(frozen=True, slots=True)
class MethodMetrics:
    """Of one method."""

    in_flight: Level
    seconds: Histogram


@dataclass(frozen=True, slots=True)
class PredictionMetrics:
    """Of one method, task and version."""

    total: Counter
    seconds: Histogram


@dataclass(frozen=True, slots=True)
class TaskMetrics:
    """Of one task; named as the attributes of `Metrics`."""

    queue_seconds: Histogram
    batch_rows: Histogram
    tokenization_seconds: Histogram
    overhead_seconds: Histogram
    admission_limit: Gauge
    admitted_rows: Gauge
    queued_rows: Gauge
    triton_calls_in_flight: Gauge


class Metrics(Families):
    """Every metric. Safe to use from any thread.

    Args:
        labels: bounds the values of the labels.
        version: of Tidemill.
    """

    def __init__(self, labels: Labels, version: str) -> None:
        super().__init__(version)
        self._labels = labels
        self._levels: list[tuple[Gauge, Level]] = []
        self._methods = _Children(self._bind_method)
        self._ended = _Children(self.requests_total.labels)
        self._predictions = _Children(self._bind_prediction)
        self._prediction_errors = _Children(self.prediction_errors_total.labels)
        self._tasks = _Children(self._bind_task)
        self._triton = _Children(self.triton_seconds.labels)
        self._shed = _Children(self.shed_total.labels)

    def refresh(self) -> None:
        """Set the gauges of what is counted elsewhere; the endpoint does it every half second."""
        for gauge, level in list(self._levels):
            gauge.set(level.value)

    def method(self, method: str) -> MethodMetrics:
        """What is observed of a method's calls.

        Args:
            method: as `method_label` makes it, such as `PredictionService/Predict`.
        """
        return self._methods.get((method,)) or self._methods.make(self._labels.method(method))

    def ended(self, method: str, code: str, reason: str) -> Counter:
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

    def prediction_failed(self, method: str, task: str, reason: str) -> Counter:
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

    def triton(self, task: str, version: int) -> Histogram:
        """`tidemill_triton_seconds` of a version of a task."""
        name = str(version)
        found = self._triton.get((task, name))
        if found is not None:
            return found
        return self._triton.make(self._labels.task(task), self._labels.version(task, name))

    def shed(self, task: str, reason: str) -> Counter:
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
        level = Level()
        self._levels.append((self.in_flight_requests.labels(method), level))
        return MethodMetrics(level, self.request_seconds.labels(method))

    def _bind_prediction(self, method: str, task: str, version: str) -> PredictionMetrics:
        values = (method, task, version)
        return PredictionMetrics(
            self.predictions_total.labels(*values), self.prediction_seconds.labels(*values)
        )

    def _bind_task(self, task: str) -> TaskMetrics:
        return TaskMetrics(
            queue_seconds=self.queue_seconds.labels(task),
            batch_rows=self.batch_rows.labels(task),
            tokenization_seconds=self.tokenization_seconds.labels(task),
            overhead_seconds=self.overhead_seconds.labels(task),
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
