"""Accuracy and cost of the default network on BANKING77.

    python -m bench.training [--seeds 3]

Trains on the training side of the shipped example and measures on the official test split, which
no choice here is made on: the seeds are 0, 1, 2 and so on.
"""

import argparse
import csv
import random
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_jobs.training.evaluate import Measures
from tidemill_jobs.training.labelled_texts import LabelledTexts, TrainingData
from tidemill_jobs.training.train import TrainingConfig, train

SUPPORT = Path(__file__).parents[1] / "examples" / "support"

Rows = list[tuple[str, str]]


class Untracked:
    """A tracker that keeps nothing."""

    def log_parameters(self, parameters: object) -> None:
        """Keep nothing."""

    def log_epoch(self, epoch: int, measures: object) -> None:
        """Keep nothing."""

    def log_measures(self, split: str, measures: Measures) -> None:
        """Keep nothing."""


def read(name: str) -> Rows:
    """(text, label) of each row of a file of the example."""
    with (SUPPORT / name).open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def labelled(rows: Rows) -> LabelledTexts:
    """Rows as texts and labels."""
    return LabelledTexts([text for text, _ in rows], [label for _, label in rows])


def measure(rows: Rows, noise: Rows, seed: int) -> tuple[Measures, float]:
    """Train on rows, and on noise where there is any; measures on the test split, CPU seconds."""
    sides = {split: [r for r in rows if split_of(content_hash(r[0])) is split] for split in Split}
    data = TrainingData(
        labelled(sides[Split.TRAIN] + noise),
        labelled(sides[Split.VALIDATION]),
        labelled(read("test.csv")),
    )
    start = time.process_time()
    trained = train(data, TrainingConfig(seed=seed), lambda _done, _doing: None, Untracked())
    return trained.test_measures, time.process_time() - start


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0")
    seeds = parser.parse_args().seeds
    whole = read("train.csv")
    random.Random(77).shuffle(whole)  # noqa: S311 -- it guards nothing
    shuffled = [label for _, label in whole[1000:2000]]
    random.Random(1).shuffle(shuffled)  # noqa: S311 -- it guards nothing
    noise = [(text, label) for (text, _), label in zip(whole[1000:2000], shuffled, strict=True)]
    cases = {
        "the whole of train.csv": (whole, []),
        "1,000 rows of it": (whole[:1000], []),
        "2,000 rows": (whole[:2000], []),
        "1,000 rows, and 1,000 with shuffled labels": (whole[:1000], noise),
    }
    table = Table("trained on", "seed", "accuracy", "calibration error", "CPU s")
    for name, (rows, wrong) in cases.items():
        for seed in range(seeds):
            found, seconds = measure(rows, wrong, seed)
            error = f"{found.expected_calibration_error:.3f}"
            table.add_row(name, str(seed), f"{found.accuracy:.4f}", error, f"{seconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
