"""The effect of weights on labels that may be wrong.

    python -m bench.training.weights [--seeds 3]

A share of BANKING77's training rows gets labels that are right with a known probability. Training
runs three times: as if all labels were right, with that probability as weight, and without those
rows. Accuracy is measured on the official test split.
"""

import argparse
import random
from collections import Counter
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.training.support import Rows, labeled, measure, read, side
from tidemill_core.domain.split import Split


@dataclass(frozen=True)
class Case:
    """Rows, some with weak labels.

    Attributes:
        rows: the number of rows.
        share: the share of rows with a weak label.
        right: the range of a weak label's probability of being right, drawn uniformly.
        confused: whether a wrong label is the class that shares most words; otherwise any class.
        classes: the number of classes to which BANKING77's are merged.
    """

    rows: int
    share: float
    right: tuple[float, float]
    confused: bool = True
    classes: int = 77

    def __str__(self) -> str:
        wrong = "the nearest class" if self.confused else "any class"
        low, high = self.right
        right = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        return (
            f"{self.rows:,} rows of {self.classes} classes, {self.share:.0%} weak: "
            f"right with {right}, else {wrong}"
        )


CASES = (
    Case(3000, 0.3, (0.5, 0.5)),
    Case(3000, 0.3, (0.5, 0.5), confused=False),
    Case(3000, 0.3, (0.3, 0.95), confused=False),
    Case(3000, 0.7, (0.4, 0.95)),
    Case(3000, 0.7, (0.4, 0.95), confused=False),
    Case(3000, 0.3, (0.55, 0.95), confused=False, classes=2),
    Case(9003, 0.3, (0.51, 0.51)),
)


def nearest_classes(rows: Rows) -> dict[str, str]:
    """Return for each label the other label whose texts share most words with its own."""
    words: dict[str, Counter[str]] = {label: Counter() for _, label in rows}
    for text, label in rows:
        words[label].update(set(text.lower().split()))
    seen = Counter(word for counts in words.values() for word in counts)

    def likeness(one: str, other: str) -> float:
        shared = words[one].keys() & words[other].keys()
        total = words[one].total() * words[other].total()
        return sum(words[one][w] * words[other][w] / seen[w] for w in shared) / total

    return {
        label: max((other for other in words if other != label), key=lambda o: likeness(label, o))
        for label in words
    }


def weaken(rows: Rows, case: Case, seed: int) -> tuple[Rows, list[float]]:
    """Return the rows, the first ones with weak labels, and each label's probability."""
    drawn = random.Random(seed)  # noqa: S311 -- not for security
    nearest, names = nearest_classes(rows), sorted({label for _, label in rows})
    weakened, weights = [], []
    for number, (text, label) in enumerate(rows):
        right = round(drawn.uniform(*case.right), 3) if number < case.share * len(rows) else 1.0
        others = [nearest[label]] if case.confused else [n for n in names if n != label]
        weakened.append((text, label if drawn.random() < right else drawn.choice(others)))
        weights.append(right)
    return weakened, weights


def accuracies(case: Case, seed: int) -> tuple[float, float, float]:
    """Return the accuracy with all labels trusted, with weights, and without weak labels."""
    whole = read("train.csv")
    random.Random(77).shuffle(whole)  # noqa: S311 -- not for security
    names = sorted({label for _, label in whole})

    def merged(rows: Rows) -> Rows:
        return [(text, names[names.index(label) % case.classes]) for text, label in rows]

    rows, weights = weaken(merged(side(whole, Split.TRAIN)[: case.rows]), case, seed)
    strong = [row for row, weight in zip(rows, weights, strict=True) if weight == 1]
    validation, test = merged(side(whole, Split.VALIDATION)), merged(read("test.csv"))
    trusted, weighted, without = (
        measure(learned, validation, test, seed)[0].accuracy
        for learned in (labeled(rows), labeled(rows, weights), labeled(strong))
    )
    return trusted, weighted, without


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    seeds = parser.parse_args().seeds
    table = Table("trained on", "seed", "all trusted", "weighted", "without the weak")
    for case in CASES:
        for seed in range(seeds):
            table.add_row(str(case), str(seed), *(f"{x:.4f}" for x in accuracies(case, seed)))
    Console(width=130).print(table)


if __name__ == "__main__":
    end_on_sigterm()
    main()
