"""What an installation needs, from 1 to 1,000,000 predictions a second.

    python -m bench.scale.capacity [--stored 1000] [--days 90]

It computes the table of docs/capacity.md from the coefficients below, each with the command that
measured it. Everything but the coefficients is arithmetic.
"""

import argparse
import math
from dataclasses import dataclass

from bench import end_on_sigterm

RATES = tuple(10**power for power in range(7))


@dataclass(frozen=True)
class Coefficient:
    """A measured figure.

    Attributes:
        value: the figure.
        unit: its unit.
        source: the command that prints it.
    """

    value: float
    unit: str
    source: str


FRONT = Coefficient(122, "µs of CPU a prediction, front", "bench.serving")
TRITON = Coefficient(40, "µs of CPU a prediction, Triton and its backend", "bench.serving.profile")
POSTGRES = Coefficient(8.5, "µs of CPU a stored prediction, PostgreSQL", "bench.scale.predictions")
ROW = Coefficient(546, "bytes a stored prediction, with indices", "bench.scale.predictions")
HOUR = Coefficient(1335, "bytes of counts, an hour and version", "bench.scale.predictions")
LATENCY = Coefficient(
    1.07, "seconds of check_latency, a million predictions of its hour", "bench.scale.predictions"
)
ROLLOUT = Coefficient(
    0.76, "seconds of a rollout's check, a million of its predictions", "bench.scale.predictions"
)
COEFFICIENTS = (FRONT, TRITON, POSTGRES, ROW, HOUR, LATENCY, ROLLOUT)
BUSY = 0.6
"""The share of its CPU that a machine has in use at the rate it is planned for."""
MACHINE_CORES = 16


@dataclass(frozen=True)
class Need:
    """What a rate needs.

    Attributes:
        rate: predictions a second.
        log_sample: the share of them that is stored.
        workers: of the front; each uses one core.
        triton_cores: cores of Triton.
        postgres_cores: cores of PostgreSQL, for writing only.
        gigabytes: of predictions after the retention time.
        check_seconds: of check_latency, which reads the last hour.
        machines: with 16 cores, for fronts and Triton.
    """

    rate: int
    log_sample: float
    workers: int
    triton_cores: int
    postgres_cores: float
    gigabytes: float
    check_seconds: float
    machines: int


def need(rate: int, most_stored: float, days: int) -> Need:
    """Return what a rate needs.

    Args:
        rate: predictions a second, by unary calls.
        most_stored: the most predictions a second to store; a share of more is sampled.
        days: how long predictions are kept.
    """
    stored = min(rate, most_stored)
    workers = math.ceil(rate * FRONT.value * 1e-6 / BUSY)
    triton_cores = math.ceil(rate * TRITON.value * 1e-6 / BUSY)
    return Need(
        rate=rate,
        log_sample=stored / rate,
        workers=workers,
        triton_cores=triton_cores,
        postgres_cores=stored * POSTGRES.value * 1e-6 / BUSY,
        gigabytes=stored * ROW.value * 86_400 * days / 1e9,
        check_seconds=stored * 3600 * LATENCY.value / 1e6,
        machines=math.ceil((workers + triton_cores) / MACHINE_CORES),
    )


def coefficients() -> str:
    """Return the table of coefficients, in Markdown."""
    rows = [f"| {each.value:,.4g} | {each.unit} | `{each.source}` |" for each in COEFFICIENTS]
    return "\n".join(["| measured | unit | by `python -m` |", "|---|---|---|", *rows])


def table(most_stored: float, days: int) -> str:
    """Return the table of needs, in Markdown."""
    names = (
        *("predictions a second", "`log_sample`", "front workers", "Triton, cores"),
        *("PostgreSQL writing, cores", f"GB after {days} days", "check_latency, seconds"),
        "machines of 16 cores",
    )
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for each in (need(rate, most_stored, days) for rate in RATES):
        cells = (
            f"{each.rate:,}",
            f"{each.log_sample:g}",
            f"{each.workers:,}",
            f"{each.triton_cores:,}",
            f"{each.postgres_cores:.3f}",
            f"{each.gigabytes:,.0f}",
            f"{each.check_seconds:.1f}",
            f"{each.machines:,}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--stored", type=float, default=1000, help="most predictions to store a second"
    )
    parser.add_argument("--days", type=int, default=90, help="days that predictions are kept")
    options = parser.parse_args()
    if not (options.stored > 0 and options.days > 0):
        parser.error("--stored and --days must be more than 0")
    print(coefficients(), table(options.stored, options.days), sep="\n\n")


if __name__ == "__main__":
    end_on_sigterm()
    main()
