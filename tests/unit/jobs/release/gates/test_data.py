"""Gates on the dataset."""

from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.gates.data import count_leaked, judge_shares, judge_unknown
from tidemill_jobs.training.labeled_texts import LabeledTexts

PASSED, FAILED = GateVerdict.PASSED, GateVerdict.FAILED
LONG = "please tell me why the card that I ordered last week has not arrived yet, number"


def rows(texts: list[str]) -> LabeledTexts:
    """Return rows of one label."""
    return LabeledTexts(texts, ["a"] * len(texts))


def test_exact_and_near_copies_are_counted() -> None:
    """Case, spaces and one changed word do not hide a copy; another text is none."""
    test = rows([f"{LONG} one", "short one"])
    train = rows(
        [f"{LONG} one".upper(), f"{LONG} three", "  short   ONE ", "something else entirely"]
    )
    assert count_leaked(train, test, 0.85) == 3
    assert count_leaked(rows(["something else entirely"]), test, 0.85) == 0


def test_labels_that_the_candidate_lacks() -> None:
    """One hold-out row of a rare class may have an unknown label, a tenth of the rows may not."""
    assert judge_unknown(["a", "b", "x"], ["a", "b"]).verdict is PASSED
    found = judge_unknown(["a"] * 90 + ["x"] * 10, ["a", "b"])
    assert found.verdict is FAILED
    assert found.reason == "it lacks the labels of 10 of 100 hold-out rows: x"


def test_shares_that_differ_by_chance_pass() -> None:
    """77 classes on 154 rows differ a lot by chance; a class on one side only is none."""
    names = [f"c{number}" for number in range(77)]
    assert judge_shares(names * 20, names[:50] * 3).verdict is PASSED
    found = judge_shares(["a"] * 900 + ["b"] * 100, ["b"] * 200)
    assert found.verdict is FAILED
    assert "differ by 90.0%" in found.reason


def test_few_rows_are_not_compared() -> None:
    """Under 30 hold-out rows there is nothing to conclude."""
    assert judge_shares(["a"], ["b"] * 29).verdict is GateVerdict.NOT_APPLICABLE
