"""The job `evaluate` over a real Triton."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from tests.integration.jobs.scoring.conftest import Bench
from tests.integration.server.models import LABELS, WORDS, TinyModel
from tidemill_core.errors import TidemillError

TEXTS = [f"{first} " * 5 + f"{second} " * 2 + "x" for first in WORDS[:9] for second in WORDS[:9]]
BEST = TinyModel(1).offline(TEXTS).argmax(axis=1)
# A third of the labels are those of the next class, so that a third of the answers are wrong.
RIGHT = [LABELS[(best + (row % 3 == 0)) % 4] for row, best in enumerate(BEST)]


def write(path: Path, labels: list[str]) -> None:
    """Write a CSV file with the first texts and these labels."""
    rows = zip(TEXTS, labels, strict=False)
    path.write_text("".join(["text,label\n", *(f"{text},{label}\n" for text, label in rows)]))


def test_the_measures_of_one_version(bench: Bench) -> None:
    """Accuracy, classes, confusion and calibration are those of the answers, as scikit-learn's."""
    write(bench.folder / "in.csv", RIGHT)
    found = bench.evaluate("in.csv")
    named = [LABELS[best] for best in BEST]
    assert found["accuracy"] == pytest.approx(np.mean(np.array(named) == np.array(RIGHT)))
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    assert found["macro_f1"] == pytest.approx(f1_score(RIGHT, named, average="macro"))
    classes = {each["label"]: each for each in found["classes"]}
    for measure, score in (("precision", precision_score), ("recall", recall_score)):
        wanted = score(RIGHT, named, labels=LABELS, average=None, zero_division=0.0)
        assert [classes[label][measure] or 0.0 for label in LABELS] == pytest.approx(wanted)
    assert sum(pair["rows"] for pair in found["confusion"]) == found["row_count"] == len(TEXTS)
    assert sum(each["n"] for each in found["reliability"]) == len(TEXTS)
    errors = found["worst_errors"]
    assert all(error["label"] != error["answer"] for error in errors)
    assert [e["confidence"] for e in errors] == sorted(e["confidence"] for e in errors)[::-1]
    texts = (bench.folder / "in.csv").read_text().splitlines()
    line = int(errors[0]["origin"].rpartition(":")[2])
    assert texts[line - 1].endswith(f",{errors[0]['label']}")
    assert not any(text in json.dumps(found) for text in TEXTS)


def test_two_versions_on_the_same_rows(bench: Bench) -> None:
    """The paired test sees that one version knows the labels and the other guesses."""
    write(bench.folder / "in.csv", [LABELS[best] for best in BEST])
    found = bench.evaluate("in.csv", model_version=1, against=2)
    paired = found["comparison"]
    assert found["accuracy"] == 1.0
    assert found["against"]["model_version"] == 2
    assert paired["difference"] == pytest.approx(1.0 - found["against"]["accuracy"])
    assert (paired["verdict"], paired["only_second"]) == ("better", 0)
    assert bench.evaluate("in.csv", model_version=2, against=1)["comparison"]["verdict"] == "worse"


def test_a_version_is_not_compared_with_itself(bench: Bench) -> None:
    """The champion against its own number is an error, and no proof of anything."""
    write(bench.folder / "in.csv", RIGHT)
    with pytest.raises(TidemillError, match="is version 1, which is evaluated itself"):
        bench.evaluate("in.csv", against=1)


def test_rows_that_cannot_be_judged_are_counted(bench: Bench) -> None:
    """Rows without a label or a text are left out; an unknown label counts as an error."""
    (bench.folder / "in.csv").write_text(
        f"text,label\n{TEXTS[0]},\n,card\n{TEXTS[1]},new\n"
        f"{TEXTS[2]},{LABELS[BEST[2]]}\n{TEXTS[3]},{LABELS[BEST[3]]}\n"
    )
    found = bench.evaluate("in.csv")
    assert found["left_out"] == {"BLANK_TEXT": 1, "NO_LABEL": 1}
    assert found["unknown_labels"] == [{"label": "new", "row_count": 1}]
    assert found["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("text,label\n", "has no rows"),
        ("text\nmy card\n", "no column 'label'"),
        ("title,label\nmy card,card\n", "no column 'text'"),
        ("text,label\nmy card,card\nfee,card\n", "2 rows with the label 'card', and no other"),
        ("text,label\nmy card,a\nfee,b\n", "knows none of the labels, such as 'a', 'b'"),
        ("text,label\nmy card,\n,card\n", "no row can be judged .1 BLANK_TEXT, 1 NO_LABEL."),
    ],
)
def test_what_cannot_be_evaluated(bench: Bench, content: str, message: str) -> None:
    """Rows that say nothing about the version are an error that names the file."""
    (bench.folder / "in.csv").write_text(content)
    with pytest.raises(TidemillError, match=message) as caught:
        bench.evaluate("in.csv")
    assert str(bench.folder / "in.csv") in str(caught.value)
