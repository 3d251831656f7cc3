"""Which values the labels of metrics may take: this is where cardinality is bounded.

A series a label value stays for as long as the process lives, so no caller may invent one. Names
of methods and tasks are checked against those there are. Versions come from the catalogue and
reasons from the code; they are not checked but counted, so that a mistake costs no more than
MAX_VERSIONS or MAX_REASONS series.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

import grpc

UNKNOWN = "unknown"
"""Stands for a name that there is not."""
OTHER = "other"
"""Stands for all values beyond a bound."""
MAX_VERSIONS = 100
"""Versions of a task that a process tells apart in its life."""
MAX_REASONS = 200

_CODES = frozenset(code.name for code in grpc.StatusCode)


class _ProtoModule(Protocol):
    """A generated `*_pb2`; `DESCRIPTOR` is its FileDescriptor."""

    DESCRIPTOR: object


def method_label(path: str) -> str:
    """`/tidemill.v1.PredictionService/Predict` -> `PredictionService/Predict`."""
    service, _, method = path.lstrip("/").rpartition("/")
    return f"{service.rpartition('.')[2]}/{method}"


def methods_of(modules: Iterable[_ProtoModule]) -> frozenset[str]:
    """The labels of all methods of the services in generated modules."""
    return frozenset(
        f"{service.name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()  # type: ignore[attr-defined]
        for method in service.methods
    )


class Labels:
    """Turns values into label values, of which there are few.

    Args:
        methods: labels of the methods that are served, as `method_label` makes them.
        prediction_methods: how predictions are asked for: the methods that a prediction is
            stored with.
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
        """A method of a service; `unknown` where there is none."""
        return name if name in self._methods else UNKNOWN

    def prediction_method(self, name: str) -> str:
        """How a prediction was asked for; `unknown` where it is none of those."""
        return name if name in self._prediction_methods else UNKNOWN

    def task(self, name: str) -> str:
        """A task; `unknown` where there is none."""
        return name if name in self._tasks else UNKNOWN

    def version(self, task: str, version: str) -> str:
        """A task's version; `other` from the hundred-and-first on."""
        return _first(self._versions.setdefault(self.task(task), set()), version, MAX_VERSIONS)

    def reason(self, name: str) -> str:
        """An error's reason, empty for none; `other` for the two-hundred-and-first."""
        return _first(self._reasons, name, MAX_REASONS)

    def code(self, name: str) -> str:
        """The name of a gRPC status; UNKNOWN is one of them."""
        return name if name in _CODES else "UNKNOWN"


def _first(seen: set[str], value: str, limit: int) -> str:
    if value in seen or len(seen) < limit:
        seen.add(value)
        return value
    return OTHER
