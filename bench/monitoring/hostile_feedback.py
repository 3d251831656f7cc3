"""What coordinated sources that flip one class do to the accuracy after a retraining.

    python -m bench.monitoring.hostile_feedback [--seed 0]

The champion is trained on 4,000 rows of the shipped example (BANKING77) and answers the other
texts of its training file within 30 days. Users of 200 sources correct half of its wrong answers,
one in twenty of them wrongly, and confirm 30 % of the right ones. Three more sources give 1, 5 and
10 % of all feedback: where the champion predicts one class, they say that another one is right.
They choose the class with the most answers, and speak within two days. A build with the real review
of feedback makes the dataset, and the default network learns it. The official test rows, on which
no choice depends, give the accuracy.

The figure fails unless the accuracy is at most one point below that without hostile feedback, and
the report names the three sources and the label.
"""

import argparse
import csv
import random
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.monitoring.one_check import TASK, opened
from bench.training.support import Rows, labeled, read, side
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.domain.report import Report
from tidemill_core.domain.split import Split
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.build import Build, build_dataset, build_for
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.training.dataset_rows import training_data
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 30
NOW = START + timedelta(days=DAYS + 1)
SHARES = (0.01, 0.05, 0.1)
HOSTILE = ("mallory", "oscar", "trudy")
_SOURCE_ROWS = 4000
_USERS = 200
_CORRECTS, _CONFIRMS, _MISTAKES = 0.5, 0.3, 0.05
_MAX_DROP = 0.01


@dataclass(frozen=True)
class Answer:
    """An answer of the champion to a text, and the truth."""

    prediction: Prediction
    truth: str


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    chance = random.Random(seed)  # noqa: S311 -- not for security
    rows, test = read("train.csv"), read("test.csv")
    chance.shuffle(rows)
    known, traffic = rows[:_SOURCE_ROWS], rows[_SOURCE_ROWS:]
    answers = _answers(_train_on(known, test, seed), traffic, chance)
    honest = _honest(answers, chance)
    clean, _ = _retrained(known, answers, honest, test, seed)
    table = Table("hostile share", "verdicts", "accuracy", "drop", "without review", "named")
    table.add_row("none", f"{len(honest):,}", f"{clean:.4f}", "", "", "")
    passed = True
    for share in SHARES:
        hostile = _hostile(answers, round(len(honest) * share / (1 - share)), chance)
        accuracy, reports = _retrained(known, answers, [*honest, *hostile], test, seed)
        exposed, _ = _retrained(known, answers, [*honest, *hostile], test, seed, reviewed=False)
        named = _is_named(reports, hostile)
        passed &= named and accuracy >= clean - _MAX_DROP
        drop, verdicts = f"{clean - accuracy:+.4f}", f"{len(hostile):,} + {len(honest):,}"
        figures = (f"{share:.0%}", verdicts, f"{accuracy:.4f}", drop, f"{exposed:.4f}")
        table.add_row(*figures, "yes" if named else "no")
        for report in reports:
            print(f"{share:.0%}: {report.summary}", file=sys.stderr)
    Console().print(table)
    sys.exit(0 if passed else 1)


def _train_on(known: Rows, test: Rows, seed: int) -> TrainedModel:
    splits = (side(known, Split.TRAIN), side(known, Split.VALIDATION), test)
    return _train(TrainingData(*map(labeled, splits)), seed)


def _train(data: TrainingData, seed: int) -> TrainedModel:
    return train(data, TrainingConfig(seed=seed), lambda _done, _doing: None, Untracked())


def _answers(champion: TrainedModel, traffic: Rows, chance: random.Random) -> list[Answer]:
    """Return the champion's answers to the traffic, at random times."""
    probabilities = champion.probabilities([text for text, _ in traffic])
    answers = []
    for (text, truth), row in zip(traffic, probabilities, strict=True):
        best = int(np.argmax(row))
        confidence, label = float(row[best]), champion.labels[best]
        made = Prediction(
            prediction_id=uuid.UUID(int=chance.getrandbits(128)).hex,
            task=TASK,
            model_version=1,
            text=text,
            label=label,
            confidence=confidence,
            scores=(Score(label, confidence),),
            abstained=False,
            method="Predict",
            request_id="",
            routing_key="",
            attributes={},
            propensity=1.0,
            latency_ms=3.0,
            predict_time=START + timedelta(days=chance.uniform(0, DAYS)),
        )
        answers.append(Answer(made, truth))
    return answers


def _honest(answers: Sequence[Answer], chance: random.Random) -> list[Feedback]:
    """Return users' verdicts: corrections of wrong answers, and fewer confirmations."""
    labels = sorted({answer.truth for answer in answers})
    given = []
    for answer in answers:
        is_right = answer.prediction.label == answer.truth
        if chance.random() > (_CONFIRMS if is_right else _CORRECTS):
            continue
        label = chance.choice(labels) if chance.random() < _MISTAKES else answer.truth
        source = f"user {chance.randrange(_USERS)}"
        time = answer.prediction.predict_time + timedelta(hours=chance.uniform(0, 24))
        given.append(_verdict(answer, None if is_right else label, source, time, chance))
    return given


def _hostile(answers: Sequence[Answer], count: int, chance: random.Random) -> list[Feedback]:
    """Return verdicts that call the commonest class by the name of the next one."""
    counts = Counter(answer.prediction.label for answer in answers)
    victim, other = (label for label, _ in counts.most_common(2))
    victims = [answer for answer in answers if answer.prediction.label == victim]
    pairs = [(answer, source) for answer in victims for source in HOSTILE]
    chance.shuffle(pairs)
    begin = START + timedelta(days=DAYS - 2)
    return [
        _verdict(answer, other, source, begin + timedelta(hours=chance.uniform(0, 48)), chance)
        for answer, source in pairs[:count]
    ]


def _verdict(
    answer: Answer, label: str | None, source: str, time: datetime, chance: random.Random
) -> Feedback:
    return Feedback(
        feedback_id=uuid.UUID(int=chance.getrandbits(128)).hex,
        prediction_id=answer.prediction.prediction_id,
        task=TASK,
        model_version=1,
        correct=None if label is not None else True,
        label=label,
        source=source,
        comment="",
        request_id="",
        create_time=time,
    )


def _retrained(
    known: Rows,
    answers: Sequence[Answer],
    verdicts: Sequence[Feedback],
    test: Rows,
    seed: int,
    reviewed: bool = True,
) -> tuple[float, list[Report]]:
    """Return the accuracy after a retraining with the verdicts, and the reports about them."""
    with _workspace(known) as context:
        storage = context.storage
        storage.predictions.add([answer.prediction for answer in answers])
        storage.feedback.add(sorted(verdicts, key=lambda each: each.create_time))
        built = build_for(context, context.progress) if reviewed else _unreviewed(context)
        learned = training_data(read_dataset(built.version.uri))
        data = TrainingData(learned.train, learned.validation, labeled(test))
        reports, _ = storage.reports.page(TASK, "feedback", Page())
        return _train(data, seed).test_measures.accuracy, reports


def _unreviewed(context: JobContext) -> Build:
    """Build as if all feedback were right."""
    return build_dataset(
        TASK,
        context.task_settings,
        {},
        context.settings.state_dir,
        context.datasets,
        context.storage,
        context.clock,
        context.progress,
    )


@contextmanager
def _workspace(known: Rows) -> Iterator[JobContext]:
    """Yield a run over a new workspace whose source has the known rows."""
    with tempfile.TemporaryDirectory() as name, chdir(name):
        folder = Path(name)
        with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *known])
        with opened(folder, NOW) as context:
            yield context


def _is_named(reports: Sequence[Report], hostile: Sequence[Feedback]) -> bool:
    """Return whether the report names the sources and the label, and no one else."""
    labels = {each.label for each in hostile}
    return any(
        attack["label"] in labels and tuple(attack["sources"]) == HOSTILE
        for report in reports
        for attack in report.details["attacks"]
    )


if __name__ == "__main__":
    end_on_sigterm()
    main()
