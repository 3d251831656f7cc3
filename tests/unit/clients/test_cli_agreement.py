"""The agreement of the annotators of label items."""

import pytest

from tidemill_cli.agreement import Agreement, agreement_of, nominal_alpha


def items(*given: str) -> list[list[tuple[str, str]]]:
    """Return an item for each argument, in which each letter is another annotator's label."""
    return [[(f"a{n}", label) for n, label in enumerate(labels)] for labels in given]


def test_each_item_is_counted_where_it_belongs() -> None:
    """Of five items one has no judgement, one has one, and two of the others are unanimous."""
    found = agreement_of(items("", "x", "xx", "yyy", "xyx"))
    assert (found.judgements, found.annotators) == (9, 3)
    assert (found.judged, found.judged_by_several, found.agreed) == (4, 3, 2)
    assert found.agreement == pytest.approx(2 / 3)


def test_alpha_is_krippendorffs() -> None:
    """The nominal example of Krippendorff's "Computing Krippendorff's Alpha-Reliability".

    Four observers, twelve units, five values: alpha = 0.743.
    """
    units = [
        "111",
        "2232",
        "3333",
        "3333",
        "2222",
        "1234",
        "4444",
        "1121",
        "2222",
        "555",
        "11",
        "3",
    ]
    found = agreement_of(items(*units))
    assert found.alpha == pytest.approx(0.743, abs=0.0005)
    assert (found.judged, found.judged_by_several) == (12, 11)


@pytest.mark.parametrize("given", [(), ("x", "y"), ("xx", "xxx")])
def test_alpha_that_cannot_be_known_is_none(given: tuple[str, ...]) -> None:
    """Without two judgements of an item, or without variance, alpha is None, without a warning."""
    assert agreement_of(items(*given)).alpha is None


def test_nothing_judged() -> None:
    """An empty queue is not an error."""
    assert agreement_of([]) == Agreement(0, 0, 0, 0, 0, None, None)
    assert nominal_alpha([]) is None
