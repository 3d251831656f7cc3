"""How far the estimated accuracy is from the true one when users choose what they judge.

    python -m bench.monitoring.selective_feedback [--runs 500] [--seed 0]

Each run is a window of 20,000 answers with 20 classes. Users judge 20 % of the wrong answers and
2 % of the right ones, and never those of the five classes that are wrong most often. People label
1 % of the answers, drawn at random. The estimators are those of `check_accuracy`. The truth is the
share of right answers of the window.

The figure fails unless the mean error of the deciding estimate is at most a quarter of that of the
plain share of the verdicts, and its 95 % interval holds the truth in 93 to 97 % of the runs. The
other rows are other conditions; they are reported, and decide nothing.
"""

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from tidemill_core.storage.accuracy_totals import MAX_SAMPLE, JudgedTotals, Sampled
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.estimate import Estimate
from tidemill_jobs.monitoring.accuracy.feedback import feedback_estimate
from tidemill_jobs.monitoring.accuracy.guesses import audits_of, guesses_of
from tidemill_jobs.monitoring.accuracy.prediction_powered import audit_estimate, combined_estimate

_CLASSES, _SILENT, _SILENT_DROP = 20, 5, 0.1
_MAX_ERROR_SHARE = 0.25
_COVERAGE = (0.93, 0.97)
_TIME = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Conditions:
    """How a window's answers come to be right, judged and audited.

    Attributes:
        name: what a table calls them.
        answers: how many.
        shift: how much the probability to be right differs from the confidence.
        complains: the share of wrong answers that users judge.
        confirms: the share of right answers that users judge.
        lies: the share of verdicts that are wrong.
        audited: the share of the answers that people label; of the second half, if it differs.
    """

    name: str
    answers: int = 20_000
    shift: float = 0.0
    complains: float = 0.2
    confirms: float = 0.02
    lies: float = 0.0
    audited: tuple[float, float] = (0.01, 0.01)


MEASURED = Conditions("the figure")
OTHERS = (
    Conditions("confidences 10 points too high", shift=-0.1),
    Conditions("accuracy near 1", shift=0.08),
    Conditions("50 audits", answers=5_000),
    Conditions("1,000 audits", audited=(0.05, 0.05)),
    Conditions("audit share tripled at noon", audited=(0.005, 0.015)),
    Conditions("a fifth of the verdicts are wrong", lies=0.2),
    Conditions("users judge right and wrong alike", complains=0.05, confirms=0.05),
)


@dataclass(frozen=True)
class Window:
    """A simulated window: its true accuracy, and what the job reads of it."""

    accuracy: float
    answers: dict[str, int]
    judged: dict[str, JudgedTotals]
    sample: list[Sampled]
    audited: list[AuditedPrediction]


def simulate(conditions: Conditions, draw: np.random.Generator) -> Window:
    """Return a window of answers."""
    count = conditions.answers
    confidence = draw.beta(8, 1.2, count)
    label = draw.integers(0, _CLASSES, count)
    worse = _SILENT_DROP * (label < _SILENT)
    right = draw.random(count) < np.clip(confidence + conditions.shift - worse, 0, 1)
    propensity = np.where(right, conditions.confirms, conditions.complains)
    judged = (draw.random(count) < propensity) & (label >= _SILENT)
    said = right ^ (draw.random(count) < conditions.lies)
    inclusion = np.where(np.arange(count) < count // 2, *conditions.audited)
    drawn = np.flatnonzero(draw.random(count) < inclusion)
    audited = [
        AuditedPrediction(
            model_version=1,
            predicted=str(label[row]),
            label=str(label[row]) if right[row] else "other",
            confidence=float(confidence[row]),
            method="Predict",
            abstained=False,
            attributes={},
            text_length=0,
            predict_time=_TIME,
            inclusion_probability=float(inclusion[row]),
            said_right=float(said[row]) if judged[row] else None,
        )
        for row in drawn
    ]
    sample = [
        Sampled(float(confidence[row]), float(said[row]) if judged[row] else None)
        for row in draw.permutation(count)[:MAX_SAMPLE]
    ]
    answers = {str(number): int((label == number).sum()) for number in range(_CLASSES)}
    verdicts = {
        str(number): said[judged & (label == number)] for number in np.unique(label[judged])
    }
    totals = {name: JudgedTotals(len(each), float(each.sum())) for name, each in verdicts.items()}
    return Window(float(right.mean()), answers, totals, sample, audited)


@dataclass(frozen=True)
class Outcome:
    """What many windows show of an estimate: its mean error, coverage and width of the interval."""

    error: float
    coverage: float
    width: float


def plain_share(window: Window) -> float:
    """Return the share of verdicts that say "right"."""
    judged = window.judged.values()
    return sum(each.said_right for each in judged) / sum(each.count for each in judged)


def estimates(window: Window) -> dict[str, Estimate]:
    """Return what each source shows of a window, as `check_accuracy` estimates it."""
    audits = audits_of(window.audited)
    found = [
        audit_estimate(audits),
        feedback_estimate(window.answers, window.judged, window.audited),
        combined_estimate(audits, guesses_of(window.sample)),
    ]
    # Where too few verdicts overlap with audits, the report marks the plain share as biased.
    return {each.source: each for each in found if each is not None and not _is_plain(each)}


def _is_plain(estimate: Estimate) -> bool:
    return estimate.note.startswith("biased")


def measure(
    conditions: Conditions, runs: int, draw: np.random.Generator
) -> tuple[float, dict[str, Outcome]]:
    """Return the mean error of the plain share, and the outcome of each estimate."""
    plain, found = [], defaultdict(list)
    for _ in range(runs):
        window = simulate(conditions, draw)
        truth = window.accuracy
        plain.append(abs(plain_share(window) - truth))
        for source, each in estimates(window).items():
            low, high = each.low or 0.0, 1.0 if each.high is None else each.high
            found[source].append((abs(each.accuracy - truth), low <= truth <= high, high - low))
    means = {source: np.mean(np.array(rows, float), axis=0) for source, rows in found.items()}
    return float(np.mean(plain)), {source: Outcome(*map(float, m)) for source, m in means.items()}


def main() -> int:
    """Print the figure, and return 0 if it holds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=500, help="windows for each row (500)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (0)")
    arguments = parser.parse_args()
    draw = np.random.default_rng(arguments.seed)
    table = Table("conditions", "plain share: error", title=f"{arguments.runs} windows a row")
    for source in ("audits", "feedback, corrected", "combined (decides)"):
        table.add_column(f"{source}: error / interval holds / its width")
    measured = [(each, *measure(each, arguments.runs, draw)) for each in (MEASURED, *OTHERS)]
    for each, plain, found in measured:
        cells = [_cell(found.get(source)) for source in ("audits", "feedback", "combined")]
        table.add_row(each.name, f"{plain:.3f}", *cells)
    console = Console(width=150)
    console.print(table)
    _, plain, found = measured[0]
    combined = found["combined"]
    ratio, (low, high) = combined.error / plain, _COVERAGE
    passed = ratio <= _MAX_ERROR_SHARE and low <= combined.coverage <= high
    console.print(
        f"{'PASSED' if passed else 'FAILED'}: the error is {ratio:.3f} of the plain share's (at "
        f"most {_MAX_ERROR_SHARE}); the interval holds the truth in {combined.coverage:.1%} "
        f"({low:.0%} to {high:.0%})"
    )
    return 0 if passed else 1


def _cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not identified"
    return f"{outcome.error:.3f} / {outcome.coverage:.1%} / {outcome.width:.3f}"


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
