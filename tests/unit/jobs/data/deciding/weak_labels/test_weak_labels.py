"""Labels by labeling functions, and the functions' report."""

import sys
from collections.abc import Iterable
from pathlib import Path
from types import MappingProxyType

import polars as pl
import pytest

from tidemill_core.domain.label_names import Renames
from tidemill_core.errors import ConfigurationError, DataError
from tidemill_jobs.context import RunCanceled
from tidemill_jobs.data.deciding.weak_labels.functions_file import load_functions_file
from tidemill_jobs.data.deciding.weak_labels.weak_labels import WeakLabels

HEAD = "from tidemill_jobs.labeling_functions import labeling_function\n"
COLORS = (
    HEAD
    + """
@labeling_function
def red(text):
    return "red" if "red" in text else None

@labeling_function
def blue(text):
    return " blue" if "blue" in text else None

@labeling_function
def last(text):
    return text.split()[-1] if text.endswith(("red", "blue")) else None
"""
)


def _weak(tmp_path: Path, content: str, renames: Renames = MappingProxyType({})) -> WeakLabels:
    path = tmp_path / "labeling_functions.py"
    path.write_text(content, encoding="utf-8")
    return WeakLabels(load_functions_file(path), renames, lambda _done, _doing: None)


def _gold(rows: list[tuple[str, str, str]]) -> pl.DataFrame:
    gold = pl.DataFrame(rows, schema=["text", "label", "label_source"], orient="row")
    return gold.with_columns(origin=pl.lit("gold.csv:2"))


def _texts(texts: Iterable[str]) -> pl.DataFrame:
    rows = [(text, f"a.csv:{line}") for line, text in enumerate(texts, 2)]
    return pl.DataFrame(rows, schema=["text", "origin"], orient="row")


def test_each_text_has_its_label_in_any_order(tmp_path: Path) -> None:
    """Repeated texts and the texts' order change neither labels nor weights."""
    texts = _texts(f"{n} {word}" for n in range(40) for word in ("red", "blue", "green"))
    found = _weak(tmp_path, COLORS).label_texts(texts).with_columns(texts["text"])
    assert found["label"].to_list() == ["red", "blue", None] * 40
    assert found.filter(pl.col("label").is_not_null())["weight"].is_between(0.5, 1.0).all()
    shuffled = pl.concat([texts, texts.head(7)]).sample(fraction=1, shuffle=True, seed=1)
    again = _weak(tmp_path, COLORS).label_texts(shuffled).with_columns(shuffled["text"])
    assert again.unique().sort("text").equals(found.sort("text"))


def test_the_report_tells_what_each_function_did(tmp_path: Path) -> None:
    """The report covers four texts without a label and three with a known one."""
    weak = _weak(tmp_path, COLORS)
    weak.label_texts(_texts(["a red", "red or blue", "a blue", "green"]))
    gold = [("red", "red", "source"), ("the red and", "blue", "human"), ("no", "red", "feedback")]
    red, blue, last = weak.report(_gold([*gold, ("more red", "red", "weak")]))
    assert red == {
        "function": "red",
        "line": 3,
        "labels": ["red"],
        "texts": 4,
        "coverage": 0.5,
        "overlap": 0.5,
        "conflict": 0.25,
        "gold_texts": 2,
        "accuracy": 0.5,
    }
    assert (blue["labels"], blue["gold_texts"], blue["accuracy"]) == (["blue"], 0, None)
    assert (last["coverage"], last["overlap"], last["conflict"]) == (0.75, 0.75, 0.25)


def test_functions_are_measured_where_no_text_lacks_a_label(tmp_path: Path) -> None:
    """Shares of no texts are null; the accuracy is known."""
    red, _, _ = _weak(tmp_path, COLORS).report(_gold([("red", "red", "source")]))
    assert (red["texts"], red["coverage"], red["labels"]) == (0, None, [])
    assert (red["gold_texts"], red["accuracy"]) == (1, 1.0)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return {}[text]", "py:4: .*'rule' fails .*: KeyError"),
        ("return 1", "py:2: .*it returned int, not a string or None"),
        ("return b'red'", "it returned bytes"),
        ("return ' '", "it returned a label that is blank"),
        ("return 'a\\x1fb'", "a label that is blank or has control"),
        ("return '\\ud800'", "a label that is blank or has control"),
        ("raise SystemExit", "py:4: .*SystemExit"),
        ("return rule(text)", "py:4: .*RecursionError"),
        ("return text", "py:2: .*more than 1000 labels"),
    ],
)
def test_a_function_that_fails_is_named(tmp_path: Path, body: str, told: str) -> None:
    """The error has the line, the text's place and the cure, but not the text."""
    weak = _weak(tmp_path, f"{HEAD}@labeling_function\ndef rule(text):\n    {body}\n")
    texts = _texts(f"{n} secret" for n in range(1001))
    with pytest.raises(DataError, match=told) as caught:
        weak.label_texts(texts)
    assert caught.value.reason == "LABELING_FUNCTION_FAILED"
    assert str(caught.value).endswith("; fix it, or let it return None for such texts")
    assert " the text of a.csv:" in str(caught.value)
    assert "secret" not in str(caught.value)


ENDLESS = "while text == 'red':\n        pass"
STUBBORN = f"try:\n        {ENDLESS}\n    except Exception:\n        return 'late'".replace(
    "        pass", "            pass"
)


@pytest.mark.parametrize("body", [ENDLESS, STUBBORN], ids=["endless", "catches every error"])
def test_a_function_that_takes_too_long_is_named(tmp_path: Path, body: str) -> None:
    """An endless function ends the build, whatever it catches; the limit is for one text."""
    path = tmp_path / "labeling_functions.py"
    path.write_text(f"{HEAD}@labeling_function\ndef rule(text):\n    {body}\n", encoding="utf-8")
    weak = WeakLabels(load_functions_file(path), {}, lambda *_: None, text_seconds=0.2)
    with pytest.raises(DataError, match=r"py:[456]: .*'rule' fails .*: it took over 0\.2 s; fix"):
        weak.label_texts(_texts(["red"]))


def test_without_snorkel_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes before any work."""
    monkeypatch.setitem(sys.modules, "snorkel", None)
    with pytest.raises(ConfigurationError, match=r"pip install -c constraints.txt '.\[snorkel\]'"):
        _weak(tmp_path, COLORS)


def test_a_run_can_be_stopped_between_texts(tmp_path: Path) -> None:
    """A run stops between batches of texts, because functions may be slow."""
    path = tmp_path / "labeling_functions.py"
    path.write_text(COLORS, encoding="utf-8")

    def stop(_done: float, _doing: str) -> None:
        raise RunCanceled

    with pytest.raises(RunCanceled):
        WeakLabels(load_functions_file(path), {}, stop).label_texts(_texts(["red"]))


def test_functions_that_give_merged_labels_agree(tmp_path: Path) -> None:
    """A renamed label counts by its current name, in votes and in the report."""
    weak = _weak(tmp_path, COLORS, {"red": "colour", "blue": "colour"})
    found = weak.label_texts(_texts([f"{n} red and blue" for n in range(20)]))
    assert set(found["label"]) == {"colour"}
    report = weak.report(_gold([("1 red", "colour", "source")]))
    assert {each["conflict"] for each in report} == {0.0}
    assert [each["labels"] for each in report] == [["colour"]] * 3
    assert [each["accuracy"] for each in report] == [1.0, None, 1.0]
