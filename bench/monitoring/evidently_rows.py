"""How long Evidently takes for many predictions, and how much memory.

    python -m bench.monitoring.evidently_rows [--rows 10000000]

Evidently compares rows in memory: a window of labels and confidences with a hold-out of 10,000
rows. The first figure gives it every row; the second is the job `write_evidently`, which gives it
at most a million, written out from counts. The figures are reported, and decide nothing. Each run
is a process of its own, for its memory.
"""

import argparse
import multiprocessing
import resource
import sys
import time

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from tidemill_core.domain.signals import Signal, bin_names
from tidemill_jobs.monitoring.drift.signals import Samples
from tidemill_jobs.monitoring.tools.evidently_report import MAX_ROWS, compare

_LABELS = tuple(f"label {number}" for number in range(77))
_HOLD_OUT = 10_000


def samples(rows: int) -> list[Samples]:
    """Return labels and confidences of a window and of a hold-out, from one distribution."""
    random = np.random.default_rng(0)
    found = []
    for signal, bins in (
        (Signal.LABEL, _LABELS),
        (Signal.CONFIDENCE, bin_names(Signal.CONFIDENCE)),
    ):
        shares = random.dirichlet(np.ones(len(bins)))
        sides = (random.multinomial(count, shares) for count in (_HOLD_OUT, rows))
        found.append(Samples(signal, bins, *sides, lambda *_: []))
    return found


def measure(given: tuple[int, int]) -> tuple[float, float]:
    """Return the CPU-seconds of a comparison with imports, and the peak of the memory in GiB."""
    rows, most = given
    compare(samples(rows), {}, most)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return time.process_time(), kilobytes / 2**20


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    table = Table("predictions", "rows that Evidently gets", "CPU seconds", "GiB", box=None)
    for most in (rows, MAX_ROWS):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            [(seconds, memory)] = pool.map(measure, [(rows, most)])
        cells = (f"{rows:,}", f"{min(rows, most):,}", f"{seconds:.1f}", f"{memory:.2f}")
        table.add_row(*cells)
    Console().print(table)
    return 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
