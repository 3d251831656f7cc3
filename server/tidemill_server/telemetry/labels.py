"""Bounds on the label values of metrics.

The series of a label value exists as long as the process, so callers must not create new values.
Names of methods and tasks are checked against the existing ones. Versions come from the catalog and
reasons from the code. They are not checked but counted, so a mistake costs at most MAX_VERSIONS or
MAX_REASONS series.
"""

from collections.abc import Collection, Iterable
from typing import Any

from google.rpc import code_pb2

UNKNOWN = "unknown"
"""Replaces a name that does not exist."""
OTHER = "other"
"""Replaces all values beyond a bound."""
MAX_VERSIONS = 100
"""Versions of a task that a process distinguishes."""
MAX_REASONS = 200

_CODES = frozenset(code_pb2.Code.keys())


def method_label(path: str) -> str:
    """Return `PredictionService/Predict` for `/tidemill.v1.PredictionService/Predict`."""
    service, _, method = path.lstrip("/").rpartition("/")
    return f"{service.rpartition('.')[2]}/{method}"


def method_labels(services: Iterable[Any]) -> frozenset[str]:
    """Return the labels of all methods of services, from their descriptors."""
    return frozenset(
        f"{service.name}/{method.name}" for service in services for method in service.methods
    )


class Labels:
    """The bounded label values.

    Args:
        methods: labels of the served methods, as `method_label` returns them.
        prediction_methods: names of the methods that predictions are stored with.
        tasks: names of the tasks.
    """

    def __init__(
        self, methods: Collection[str], prediction_methods: Collection[str], tasks: Collection[str]
    ) -> None:
        self._methods = frozenset(methods)
        self._prediction_methods = frozenset(prediction_methods)
        self._tasks = frozenset(tasks)
        self._versions: dict[str, set[str]] = {}
        self._reasons: set[str] = set()

    def method(self, name: str) -> str:
        """Return a method of a service; `unknown` if it does not exist."""
        return name if name in self._methods else UNKNOWN

    def prediction_method(self, name: str) -> str:
        """Return a method of predictions; `unknown` if it does not exist."""
        return name if name in self._prediction_methods else UNKNOWN

    def task(self, name: str) -> str:
        """Return a task; `unknown` if it does not exist."""
        return name if name in self._tasks else UNKNOWN

    def version(self, task: str, version: str) -> str:
        """Return a task's version; `other` beyond MAX_VERSIONS."""
        return _first(self._versions.setdefault(self.task(task), set()), version, MAX_VERSIONS)

    def reason(self, name: str) -> str:
        """Return an error's reason, empty for none; `other` beyond MAX_REASONS."""
        return _first(self._reasons, name, MAX_REASONS)

    def code(self, name: str) -> str:
        """Return the name of a gRPC status; UNKNOWN if it does not exist."""
        return name if name in _CODES else "UNKNOWN"


def _first(seen: set[str], value: str, limit: int) -> str:
    if value in seen or len(seen) < limit:
        seen.add(value)
        return value
    return OTHER
