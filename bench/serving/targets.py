"""The figures to reach, and whether the results reach them."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.serving import kinds
from bench.serving.load import Load
from bench.serving.measure import DEFAULT, RAW, REST, TRITON, Sample, better

MUST, AIM = "must", "aim"


@dataclass(frozen=True)
class Target:
    """A target for one figure.

    Attributes:
        name: the figure's name.
        limit: the limit.
        at_least: whether it is a lower limit; otherwise it is an upper one.
        unit: the unit of limit and value.
        value: the measured value; None if it was not measured.
        level: MUST or AIM.
    """

    name: str
    limit: float
    at_least: bool
    unit: str
    value: float | None
    level: str = MUST

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

    def loads(self, system: str, kind: str) -> list[Load]:
        """Return the results of a kind of load, with the better number of processes."""
        wanted = (system, kind, self.processes(system))
        return [s.found for s in self.samples if (s.system, s.kind, s.processes) == wanted]

    def processes(self, system: str) -> int:
        """Return the number of processes with which a system answers more."""
        return better(self.samples, system)

    def median(self, system: str, kind: str, value: Callable[[Load], float]) -> float | None:
        """Return a median over the rounds; None if not measured, NaN if a round has no value."""
        values = [value(load) for load in self.loads(system, kind)]
        if any(map(math.isnan, values)):
            return math.nan
        return statistics.median(values) if values else None

    def rate(self, system: str, kind: str = kinds.MANY) -> float | None:
        """Return the median of answered texts per second."""
        return self.median(system, kind, lambda load: load.rows_per_second)

    def p99(self, kind: str) -> float | None:
        """Return the median of Tidemill's 99th percentile in milliseconds."""
        return self.median(DEFAULT, kind, lambda load: load.p99_ms)


def targets(results: Results) -> list[Target]:
    """Return every target with its measured value."""
    return [*_against_others(results), *_latencies(results), *_rows(results)]


def _against_others(results: Results) -> list[Target]:
    predict = results.rate(DEFAULT)
    limits = (
        ("fastapi-torchscript", "FastAPI + TorchScript", 1.7, MUST),
        ("fastapi-torchscript", "FastAPI + TorchScript", 2.2, AIM),
        ("fastapi-onnx", "FastAPI + ONNX Runtime", 1.3, MUST),
        ("mlserver", "MLServer", 4.0, MUST),
        ("litserve", "LitServe", 4.0, MUST),
        ("bentoml", "BentoML", 4.0, MUST),
        (TRITON, "Triton called directly with ready ids", 0.7, MUST),
        (TRITON, "Triton called directly with ready ids", 0.85, AIM),
    )
    rest = _ratio(results.rate(REST), results.rate("fastapi-torchscript"))
    return [
        *(
            Target(
                f"Predict / {title}",
                limit,
                True,
                " x",
                _ratio(predict, results.rate(system)),
                level,
            )
            for system, title, limit, level in limits
        ),
        Target("Predict over REST / FastAPI + TorchScript", 1.0, True, " x", rest),
    ]


def _latencies(results: Results) -> list[Target]:
    predict = results.rate(DEFAULT)
    p50 = {
        system: results.median(system, kinds.ONE, lambda load: load.p50_ms)
        for system in (DEFAULT, TRITON)
    }
    beyond = _difference(p50[DEFAULT], p50[TRITON])
    overload = _ratio(results.rate(DEFAULT, kinds.OVERLOADED), predict)
    in_time = _ratio(results.rate(DEFAULT, kinds.FLOODED), predict)
    flooded = f"answered within {kinds.IN_TIME_SECONDS:g} s at 3 x the maximum / the maximum"
    return [
        Target("p50 of one caller beyond Triton's", 1.0, False, " ms", beyond),
        Target("p99 at 70 % of the maximum", 20.0, False, " ms", results.p99(kinds.STEADY)),
        Target("192 callers / 64 callers, answered", 0.95, True, " x", overload),
        Target(
            "p99 of the admitted among 192 callers", 50.0, False, " ms",
            results.p99(kinds.OVERLOADED),
        ),
        Target(flooded, 0.7, True, " x", in_time),
    ]  # fmt: skip


def _rows(results: Results) -> list[Target]:
    beside = [
        target
        for kind, alone, title in (
            (kinds.MANY_BESIDE, kinds.MANY, "64 callers"),
            (kinds.ONE_BESIDE, kinds.ONE, "one caller"),
        )
        for target in (
            Target(
                f"{title} beside four of BatchPredict(200) / without them", 0.5, True, " x",
                _ratio(results.rate(DEFAULT, kind), results.rate(DEFAULT, alone)),
            ),
            Target(f"p99 of {title} beside them", 100.0, False, " ms", results.p99(kind)),
        )
    ]  # fmt: skip
    batches = _ratio(results.rate(DEFAULT, kinds.BATCHES), results.rate(RAW, kinds.BATCHES))
    streams = _ratio(results.rate(DEFAULT, kinds.STREAMS), results.rate(DEFAULT))
    return [
        *beside,
        Target("BatchPredict of 64 / tokenizers + ONNX Runtime, rows", 0.8, True, " x", batches),
        Target("StreamPredict / Predict, rows", 1.5, True, " x", streams, AIM),
    ]


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


def _difference(value: float | None, base: float | None) -> float | None:
    return value - base if value is not None and base is not None else None
