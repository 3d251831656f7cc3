"""The targets, and whether the results reach them."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.serving.callers import Called
from bench.serving.load import Load
from bench.serving.measure import PROCESSES, Sample

_Found = TypeVar("_Found", Load, Called)


@dataclass(frozen=True)
class Target:
    """A target for one figure.

    Attributes:
        name: the figure's name.
        limit: the limit.
        at_least: whether it is a lower limit; otherwise it is an upper one.
        unit: the unit of limit and value.
        value: the measured value; None if it was not measured.
    """

    name: str
    limit: float
    at_least: bool
    unit: str
    value: float | None

    @property
    def verdict(self) -> str:
        """`reached`, `SHORT` or `not measured`."""
        if self.value is None:
            return "not measured"
        # NaN reaches no target.
        reached = self.value >= self.limit if self.at_least else self.value < self.limit
        return "reached" if reached else "SHORT"

    @property
    def wanted(self) -> str:
        """The limit in words."""
        return f"{'at least' if self.at_least else 'under'} {self.limit:g}{self.unit}"

    @property
    def shown(self) -> str:
        """The value in words."""
        return "-" if self.value is None else f"{self.value:.2f}{self.unit}"


@dataclass(frozen=True)
class Results:
    """All samples of a run."""

    samples: Sequence[Sample]

    def loads(self, system: str, kind: str, processes: int) -> list[Load]:
        """Return the results of h2load or wrk."""
        return [s.found for s in self._of(system, kind, processes) if isinstance(s.found, Load)]

    def calls(self, system: str, kind: str, processes: int) -> list[Called]:
        """Return the results of the callers."""
        return [s.found for s in self._of(system, kind, processes) if isinstance(s.found, Called)]

    def rate(self, system: str, kind: str, processes: int) -> float | None:
        """Return the median of rows per second; None if it was not measured."""
        loads = self.loads(system, kind, processes)
        return statistics.median(load.rows_per_second for load in loads) if loads else None

    def better(self, system: str) -> int:
        """Return the number of processes with which a system answers more unary calls."""
        if system == "triton":
            return 0
        return max(PROCESSES, key=lambda number: self.rate(system, "unary", number) or 0.0)

    def best(self, system: str, kind: str = "unary") -> float | None:
        """Return the median of rows per second with the better number of processes."""
        return self.rate(system, kind, self.better(system))

    def _of(self, system: str, kind: str, processes: int) -> list[Sample]:
        wanted = (system, kind, processes)
        return [s for s in self.samples if (s.system, s.kind, s.processes) == wanted]


def targets(results: Results) -> list[Target]:
    """Return every target with its measured value."""
    workers = results.better("tidemill")
    unary = results.best("tidemill")
    found = [
        Target(f"Predict / {title}", limit, True, " x", _ratio(unary, results.best(system)))
        for system, title, limit in (
            ("fastapi-torchscript", "FastAPI + TorchScript", 1.5),
            ("mlserver", "MLServer", 3.0),
            ("litserve", "LitServe", 4.0),
            ("bentoml", "BentoML", 4.0),
            ("triton", "Triton called directly with ready ids", 0.40),
        )
    ]
    found += [
        Target(
            f"{title} / Predict, rows",
            limit,
            True,
            " x",
            _ratio(results.best("tidemill", kind), unary),
        )
        for kind, title, limit in (
            ("stream", "StreamPredict", 2.0),
            ("batch", "BatchPredict of 64", 10.0),
        )
    ]
    calls = {
        kind: results.calls("tidemill", kind, workers)
        for kind in ("open 70 %", "closed 64", "closed 192")
    }
    one = results.loads("tidemill", "one caller", workers)
    beyond = _difference(
        _median(one, lambda load: load.p50_ms),
        _median(results.loads("triton", "one caller", 0), lambda load: load.p50_ms),
    )
    rates = {
        kind: _median(each, lambda call: call.answered_per_second) for kind, each in calls.items()
    }
    p99s = {kind: _median(each, lambda call: call.p99_ms) for kind, each in calls.items()}
    overload = _ratio(rates["closed 192"], rates["closed 64"])
    return [
        *found,
        Target("p99 at 70 % of the maximum", 50.0, False, " ms", p99s["open 70 %"]),
        Target("p50 of one caller beyond Triton's", 1.0, False, " ms", beyond),
        Target("192 callers / 64 callers, answered", 0.85, True, " x", overload),
        Target("p99 of the admitted among 192 callers", 50.0, False, " ms", p99s["closed 192"]),
    ]


def _median(found: Sequence[_Found], value: Callable[[_Found], float]) -> float | None:
    """Return the median over the rounds; NaN if one of them had no answer."""
    values = [value(each) for each in found]
    if any(map(math.isnan, values)):
        return math.nan
    return statistics.median(values) if values else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _difference(value: float | None, base: float | None) -> float | None:
    return value - base if value is not None and base is not None else None
