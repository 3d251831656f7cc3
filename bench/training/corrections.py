"""Accuracy of the default network with fewer rows, and with shuffled labels.

    python -m bench.training.corrections [--seeds 3]

It trains on the shipped example's training rows and measures on the official test split, on which
no choice here depends. The seeds are 0, 1, 2 and so on.
"""

import argparse
import random

from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.training.support import labeled, measure, read, side
from tidemill_core.domain.split import Split


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    seeds = parser.parse_args().seeds
    whole, test = read("train.csv"), read("test.csv")
    random.Random(77).shuffle(whole)  # noqa: S311 -- not for security
    shuffled = [label for _, label in whole[1000:2000]]
    random.Random(1).shuffle(shuffled)  # noqa: S311 -- not for security
    noise = [(text, label) for (text, _), label in zip(whole[1000:2000], shuffled, strict=True)]
    cases = {
        "the whole of train.csv": (whole, []),
        "1,000 rows of it": (whole[:1000], []),
        "2,000 rows": (whole[:2000], []),
        "1,000 rows, and 1,000 with shuffled labels": (whole[:1000], noise),
    }
    table = Table("trained on", "seed", "accuracy", "calibration error", "CPU s")
    for name, (rows, wrong) in cases.items():
        learned = labeled(side(rows, Split.TRAIN) + wrong)
        for seed in range(seeds):
            validation = side(rows, Split.VALIDATION)
            found, seconds = measure(learned, validation, test, seed)
            error = f"{found.expected_calibration_error:.3f}"
            table.add_row(name, str(seed), f"{found.accuracy:.4f}", error, f"{seconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    end_on_sigterm()
    main()
