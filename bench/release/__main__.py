"""How often the gates reject a candidate that is as good as the champion, and one that is worse.

    python -m bench.release [--pairs 200]

Models are trained on 4,000 rows of the shipped example: three with different seeds, and one on
labels of which 10 % are flipped. They answer the official test rows once. Each pair then gets a
hold-out of its own, drawn with replacement from those rows. In an equally good pair, a coin decides
for each drawn row which of two seeds is the champion there, so neither is better. The gates that
compare answers judge with their default settings; the others do not depend on chance.

The last column has a stricter rule in place of the gate `champion`: pass only if a 95 % interval
excludes a drop of more than one point.
"""

import argparse
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.training.support import Rows, Untracked, labeled, read, side
from tidemill_core.domain.gate import GateVerdict
from tidemill_core.domain.split import Split
from tidemill_core.settings import GateSettings
from tidemill_jobs.release.gates.calibration import judge_calibration
from tidemill_jobs.release.gates.classes import compare_parts
from tidemill_jobs.release.gates.gate import Finding
from tidemill_jobs.release.gates.quality import compare_rows
from tidemill_jobs.release.slices import slices_of
from tidemill_jobs.release.trial import LabeledAnswers
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.train import TrainingConfig, train

_TRAIN_ROWS = 4000
_SEEDS = 3
_FLIPPED = 0.1
_HOLD_OUTS = (200, 900, 3000)
_MARGIN = 0.01

Choice = npt.NDArray[np.int64]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=200, help="number of pairs")
    pairs = parser.parse_args().pairs
    rows, test = read("train.csv"), read("test.csv")
    random.Random(7).shuffle(rows)  # noqa: S311 -- not for security
    equal = [_answers(rows[:_TRAIN_ROWS], test, seed) for seed in range(_SEEDS)]
    worse = _answers(_flipped(rows[:_TRAIN_ROWS]), test, 0)
    table = Table("candidate", "hold-out rows", "rejected", "by", "rejected by the stricter rule")
    for name, candidate in (("as good", None), (f"{_FLIPPED:.0%} of its labels flipped", worse)):
        for size in _HOLD_OUTS:
            table.add_row(name, str(size), *_rejections(equal, candidate, test, size, pairs))
    Console().print(table)
    accuracies = ", ".join(f"{each.right.mean():.4f}" for each in (*equal, worse))
    Console().print(f"{pairs} pairs a row; accuracies on all test rows: {accuracies} (flipped)")


def _flipped(rows: Rows) -> Rows:
    """Return rows of which a share has another label."""
    draw = random.Random(5)  # noqa: S311 -- not for security
    labels = sorted({label for _, label in rows})
    return [
        (text, draw.choice([each for each in labels if each != label]))
        if draw.random() < _FLIPPED
        else (text, label)
        for text, label in rows
    ]


def _answers(rows: Rows, test: Rows, seed: int) -> LabeledAnswers:
    """Train, and answer the test rows."""
    splits = (side(rows, Split.TRAIN), side(rows, Split.VALIDATION), test)
    data = TrainingData(*map(labeled, splits))
    model = train(data, TrainingConfig(seed=seed), lambda _done, _doing: None, Untracked())
    index = {label: number for number, label in enumerate(model.labels)}
    targets = np.array([index[label] for _, label in test])
    return LabeledAnswers(model.labels, model.test_probabilities, targets)


def _rejections(
    equal: list[LabeledAnswers], worse: LabeledAnswers | None, test: Rows, size: int, pairs: int
) -> tuple[str, str, str]:
    """Return how often the gates reject, which of them, and how often the stricter rule does."""
    chance = np.random.default_rng(size)
    rejected, strictly, by = 0, 0, Counter[str]()
    for _ in range(pairs):
        one, two = chance.choice(len(equal), 2, replace=False)
        rows = chance.integers(len(test), size=size)
        coin = np.zeros(size, bool) if worse else chance.random(size) < 0.5
        first, second = _of(equal[one], rows), _of(worse or equal[two], rows)
        champion, candidate = _mixed(first, second, coin), _mixed(second, first, coin)
        found = _judge(candidate, champion, [test[row] for row in rows])
        failed = [gate for gate, each in found.items() if each.verdict is GateVerdict.FAILED]
        rejected += bool(failed)
        by.update(failed)
        strictly += _might_be_worse(candidate.right, champion.right)
    named = ", ".join(f"{gate} {count / pairs:.1%}" for gate, count in by.most_common())
    return f"{rejected / pairs:.1%}", named, f"{strictly / pairs:.1%}"


def _mixed(
    ours: LabeledAnswers, others: LabeledAnswers, coin: npt.NDArray[np.bool_]
) -> LabeledAnswers:
    """Return answers of which the coin's rows are another version's."""
    mixed = np.where(coin[:, None], others.probabilities, ours.probabilities)
    return replace(ours, probabilities=mixed)


def _of(answers: LabeledAnswers, rows: Choice) -> LabeledAnswers:
    return replace(
        answers, probabilities=answers.probabilities[rows], targets=answers.targets[rows]
    )


def _judge(
    candidate: LabeledAnswers, champion: LabeledAnswers, test: Rows
) -> Mapping[str, Finding]:
    """Ask the gates that compare answers."""
    settings, labels = GateSettings(), np.array([label for _, label in test], dtype=object)
    classes = {label: labels == label for label in sorted(set(labels))}
    frame = pl.DataFrame({"text": [text for text, _ in test]}).with_columns(label_source=pl.lit(""))
    pair, margin = (candidate.right, champion.right), settings.max_class_drop
    return {
        "champion": compare_rows(*pair, settings.max_accuracy_drop),
        "classes": compare_parts(*pair, classes, margin, "class"),
        "slices": compare_parts(*pair, slices_of(frame), margin, "slice"),
        "calibration": judge_calibration(candidate, settings.max_calibration_error),
    }


def _might_be_worse(ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_]) -> bool:
    """Return whether a one-sided 95 % interval includes a drop by more than the margin."""
    change = ours.astype(float) - theirs
    return bool(change.mean() - 1.645 * change.std() / np.sqrt(len(change)) < -_MARGIN)


if __name__ == "__main__":
    end_on_sigterm()
    main()
