"""The shipped example's rows, their split, and training on them."""

import csv
import time
from collections.abc import Sequence
from pathlib import Path

from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_jobs.training.evaluate import Measures
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train

SUPPORT = Path(__file__).parents[2] / "examples" / "support"

Rows = list[tuple[str, str]]


def read(name: str) -> Rows:
    """Return (text, label) of each row of a file of the example."""
    with (SUPPORT / name).open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def side(rows: Rows, split: Split) -> Rows:
    """Return the rows of one side of the split."""
    return [row for row in rows if split_of(content_hash(row[0])) is split]


def labeled(rows: Rows, weights: Sequence[float] | None = None) -> LabeledTexts:
    """Return rows as texts and labels."""
    return LabeledTexts([text for text, _ in rows], [label for _, label in rows], weights)


def measure(
    learned: LabeledTexts, validation: Rows, test: Rows, seed: int, network: str = "ngram"
) -> tuple[Measures, float]:
    """Train; return measures on the test rows, and CPU seconds."""
    data = TrainingData(learned, labeled(validation), labeled(test))
    start = time.process_time()
    trained = train(
        data, TrainingConfig(network, seed=seed), lambda _done, _doing: None, Untracked()
    )
    return trained.test_measures, time.process_time() - start
