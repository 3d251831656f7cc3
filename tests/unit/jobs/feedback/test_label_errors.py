"""Suspected label errors, on questions of bank customers."""

import csv
import random
from pathlib import Path

import polars as pl
import pytest

from tidemill_core.domain.split import content_hash
from tidemill_jobs.context import RunCanceled
from tidemill_jobs.feedback.label_errors import SUSPECTS, suspected_errors

TRAIN = Path(__file__).parents[4] / "examples" / "support" / "train.csv"
LABELS = 20
WRONG_SHARE = 0.05


def _examples(rows: list[tuple[str, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (content_hash(text), f"rows.csv:{n}", text, label)
            for n, (text, label) in enumerate(rows)
        ],
        schema=["text_hash", "origin", "text", "label"],
        orient="row",
    )


@pytest.fixture(scope="module")
def banking() -> tuple[pl.DataFrame, dict[str, str]]:
    """Examples of twenty labels, one in twenty of them wrong, and the true labels by origin."""
    with TRAIN.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    labels = sorted({label for _, label in rows})[:LABELS]
    kept = [(text, label) for text, label in rows if label in labels]
    chance = random.Random(0)
    given = [
        (text, chance.choice(labels) if chance.random() < WRONG_SHARE else label)
        for text, label in kept
    ]
    return _examples(given), {f"rows.csv:{n}": label for n, (_, label) in enumerate(kept)}


def _untold(_done: float, _doing: str) -> None:
    pass


def test_wrong_labels_are_found(banking: tuple[pl.DataFrame, dict[str, str]]) -> None:
    """Nine in ten of the first suspects are wrong, and most wrong labels are suspected."""
    examples, truth = banking
    wrong = {
        origin for origin, label in examples.select("origin", "label").iter_rows()
        if truth[origin] != label
    }  # fmt: skip
    suspects = suspected_errors(examples, 200, _untold)
    found = [origin in wrong for origin in suspects["origin"]]
    assert sum(found[: len(wrong) // 2]) / (len(wrong) // 2) > 0.9
    assert sum(found) / len(wrong) > 0.7
    mended = [truth[row["origin"]] == row["suggested_label"] for row in suspects.to_dicts()]
    assert sum(mended[: len(wrong) // 2]) / (len(wrong) // 2) > 0.8
    assert suspects["quality"].is_sorted()
    assert suspects["quality"].is_between(0, 1).all()
    assert not (suspects["label"] == suspects["suggested_label"]).any()


def test_the_same_rows_give_the_same_suspects(
    banking: tuple[pl.DataFrame, dict[str, str]],
) -> None:
    """The order of the examples does not matter, and a lower limit returns the worst."""
    examples, _ = banking
    few = examples.head(600)
    shuffled = few.sample(fraction=1, shuffle=True, seed=1)
    assert suspected_errors(shuffled, 20, _untold).equals(
        suspected_errors(few, 50, _untold).head(20)
    )


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("only one", "a")],
        [(f"text {n}", "a") for n in range(20)],
        [(f"text {n}", str(n)) for n in range(20)],
        [*((f"text {n}", "a") for n in range(20)), *((f"other {n}", "b") for n in range(4))],
    ],
)
def test_too_few_rows_of_a_label_are_not_suspected(rows: list[tuple[str, str]]) -> None:
    """Too few rows give no suspects and no error."""
    suspects = suspected_errors(_examples(rows), 10, _untold)
    assert suspects.columns == list(SUSPECTS)
    assert suspects.is_empty()


def test_texts_without_a_word_are_no_error() -> None:
    """A model that learns nothing does not fail."""
    rows = [("?" * (n + 1), "ab"[n % 2]) for n in range(30)]
    assert len(suspected_errors(_examples(rows), 5, _untold)) <= 5


def test_it_can_be_cancelled_between_folds() -> None:
    """It reports its progress at each fold, and can be canceled there."""
    told: list[float] = []

    def cancel_at_the_third(done: float, _doing: str) -> None:
        told.append(done)
        if len(told) == 3:
            raise RunCanceled

    rows = [(f"text {n}", "ab"[n % 2]) for n in range(30)]
    with pytest.raises(RunCanceled):
        suspected_errors(_examples(rows), 5, cancel_at_the_third)
    assert told == sorted(told)
