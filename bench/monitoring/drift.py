"""How often nights without drift raise an alarm, and how often a moved class is found.

    python -m bench.monitoring.drift [--nights 2000] [--moved 200]

Each night has a hold-out of 900 rows and a window of predictions of its own, drawn with replacement
from one population of 77 classes, in which confidence, length, unknown pieces and region depend on
the class. All five signals are judged together, as `check_drift` judges those of a task; at most
1,000 texts of a window have a representation. Exits with 1 if a target is missed.
"""

import argparse
import sys
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from bench import end_on_sigterm
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.domain.signals import BIN_STARTS, Signal
from tidemill_jobs.monitoring.drift.check import FALSE_ALARMS_A_NIGHT, judge
from tidemill_jobs.monitoring.drift.representation import SAMPLE
from tidemill_jobs.monitoring.drift.signals import Samples

_CLASSES, _REGIONS = 77, 18
_POPULATION = 200_000
_HOLD_OUT = 900
_SIZES = (200, 2_000, 20_000)
_MOST_FALSE, _LEAST_FOUND = 0.06, 0.9
_MOVED_ROWS, _MOVED_SHARE = 2_000, 0.1

Population = Mapping[Signal, npt.NDArray[np.int64]]
"""The bin of each row, by signal."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--nights", type=int, default=2000, help="nights without drift, a size")
    parser.add_argument("--moved", type=int, default=200, help="nights with a class that moved")
    options = parser.parse_args()
    random = np.random.default_rng(14)
    population = _population(random)
    table = Table("nights", "predictions a night", "alarms", "95 % interval", "target", "")
    met = [_still(table, population, size, options.nights, random) for size in _SIZES]
    met.append(_moved(table, population, options.moved, random))
    Console().print(table)
    sys.exit(not all(met))


def _population(random: np.random.Generator) -> Population:
    shares = random.dirichlet(np.full(_CLASSES, 3.0))
    classes = random.choice(_CLASSES, _POPULATION, p=shares)
    ease, length = random.uniform(1, 8, _CLASSES), random.uniform(1.5, 3.0, _CLASSES)
    regions = random.dirichlet(np.full(_REGIONS, 0.3), _CLASSES).cumsum(axis=1)[classes]
    unknown = random.random(_POPULATION) < 0.03
    values = {
        Signal.CONFIDENCE: random.beta(ease[classes], 1.5),
        Signal.TEXT_LENGTH: random.lognormal(length[classes], 0.4),
        Signal.UNKNOWN_PIECES: np.where(unknown, random.beta(1, 8, _POPULATION), 0.0),
    }
    numbers = {
        signal: np.searchsorted(BIN_STARTS[signal], found, side="right") - 1
        for signal, found in values.items()
    }
    places = (regions < random.random((_POPULATION, 1))).sum(axis=1).clip(max=_REGIONS - 1)
    return {Signal.LABEL: classes, **numbers, Signal.REPRESENTATION: places}


def _still(
    table: Table, population: Population, size: int, nights: int, random: np.random.Generator
) -> bool:
    """Add the row of nights without drift; return whether the target is met."""
    alarms = sum(_alarm(population, size, None, random) for _ in range(nights))
    interval = binomtest(alarms, nights).proportion_ci(0.95, method="exact")
    met = bool(interval.high <= _MOST_FALSE)
    _add(table, (nights, size, alarms), interval, f"at most {_MOST_FALSE:.0%}", met)
    return met


def _moved(table: Table, population: Population, nights: int, random: np.random.Generator) -> bool:
    """Add the row of nights on which one class has ten points more; return whether it is met."""
    found = sum(
        _alarm(population, _MOVED_ROWS, int(random.integers(_CLASSES)), random)
        for _ in range(nights)
    )
    interval = binomtest(found, nights).proportion_ci(0.95, method="exact")
    met = found / nights >= _LEAST_FOUND
    name = (nights, f"{_MOVED_ROWS}, one class +10 points", found)
    _add(table, name, interval, f"at least {_LEAST_FOUND:.0%}", met)
    return met


def _add(
    table: Table, counts: tuple[object, ...], interval: object, target: str, met: bool
) -> None:
    nights, size, alarms = counts
    low, high = (getattr(interval, side) for side in ("low", "high"))
    share = f"{alarms} ({int(str(alarms)) / int(str(nights)):.1%})"
    table.add_row(
        *(f"{nights}", f"{size}", share, f"{low:.1%} to {high:.1%}", target),
        "met" if met else "[red]missed[/]",
    )


def _alarm(
    population: Population, size: int, moved_to: int | None, random: np.random.Generator
) -> bool:
    """Return whether a night's window raises an alarm."""
    held_out = random.integers(_POPULATION, size=_HOLD_OUT)
    window = random.integers(_POPULATION, size=size)
    if moved_to is not None:
        of_class = np.flatnonzero(population[Signal.LABEL] == moved_to)
        moved = random.random(size) < _MOVED_SHARE
        window[moved] = random.choice(of_class, int(moved.sum()))
    signals = [
        _samples(signal, bins, held_out, window[:SAMPLE] if _is_sampled(signal) else window)
        for signal, bins in population.items()
    ]
    finding = judge(signals, f"{random.integers(2**62)}", FALSE_ALARMS_A_NIGHT)
    return finding.verdict is ReportVerdict.ALERT


def _is_sampled(signal: Signal) -> bool:
    return signal is Signal.REPRESENTATION


def _samples(
    signal: Signal,
    bins: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.int64],
    window: npt.NDArray[np.int64],
) -> Samples:
    count = {Signal.LABEL: _CLASSES, Signal.REPRESENTATION: _REGIONS}
    width = count.get(signal) or len(BIN_STARTS[signal])
    reference, counted = (np.bincount(bins[rows], minlength=width) for rows in (held_out, window))
    return Samples(signal, list(map(str, range(width))), reference, counted, lambda *_: [])


if __name__ == "__main__":
    end_on_sigterm()
    main()
