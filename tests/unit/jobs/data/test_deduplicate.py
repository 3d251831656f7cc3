"""Keeping each text once, with the label that is trusted most."""

from collections.abc import Iterable
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tidemill_jobs.data.deduplicate import deduplicate

from tidemill_core.domain.example import Example, LabelSource
from tidemill_core.domain.split import Split, content_hash
from tidemill_jobs.data.rows import PlacedExample

SOURCE, FEEDBACK = LabelSource.SOURCE, LabelSource.FEEDBACK
Row = tuple[str, str, LabelSource]


def _placed(rows: Iterable[Row]) -> list[PlacedExample]:
    return [
        PlacedExample(Example(text, label, source, str(place)), content_hash(text), Split.TRAIN)
        for place, (text, label, source) in enumerate(rows)
    ]


def _outcome(*rows: Row) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(text, label) of what is kept, and (origin, rule) of what is not."""
    kept, aside = deduplicate(_placed(rows))
    return (
        [(item.example.text, item.example.label) for item in kept],
        sorted((row.origin, row.rule) for row in aside),
    )


def test_equal_rows_are_kept_once() -> None:
    """The same text with the same label is one example and a DUPLICATE."""
    outcome = _outcome(("x", "a", SOURCE), ("x", "a", SOURCE))
    assert outcome == ([("x", "a")], [("1", "DUPLICATE")])


def test_texts_are_the_same_in_any_case_and_spacing() -> None:
    """Texts that differ in case, spacing or width only are the same."""
    kept, aside = _outcome(("Lost CARD", "a", SOURCE), ("lost  card", "a", SOURCE))
    assert len(kept) == 1
    assert [rule for _, rule in aside] == ["DUPLICATE"]


def test_the_majority_of_a_source_wins() -> None:
    """Rows with another label than most rows of the text are contradictory."""
    outcome = _outcome(("x", "b", SOURCE), ("x", "a", SOURCE), ("x", "a", SOURCE))
    assert outcome == ([("x", "a")], [("0", "CONTRADICTORY_LABELS"), ("2", "DUPLICATE")])


def test_a_tie_keeps_nothing() -> None:
    """Labels that contradict each other evenly leave no example."""
    outcome = _outcome(("x", "a", SOURCE), ("x", "b", SOURCE))
    contradictory = [("0", "CONTRADICTORY_LABELS"), ("1", "CONTRADICTORY_LABELS")]
    assert outcome == ([], contradictory)


def test_people_beat_the_source() -> None:
    """One correction replaces the label of any number of source rows."""
    outcome = _outcome(("x", "a", SOURCE), ("x", "a", SOURCE), ("x", "b", FEEDBACK))
    assert outcome == ([("x", "b")], [("0", "CORRECTED"), ("1", "CORRECTED")])


def test_a_confirmation_is_a_duplicate() -> None:
    """Feedback that agrees with the source leaves one example, with people's word for it."""
    kept, aside = deduplicate(_placed([("x", "a", SOURCE), ("x", "a", FEEDBACK)]))
    assert [item.example.label_source for item in kept] == [FEEDBACK]
    assert [row.rule for row in aside] == ["DUPLICATE"]


def test_people_who_disagree_leave_it_to_the_source() -> None:
    """A tie among people sets their labels aside; the source's stands."""
    outcome = _outcome(("x", "a", SOURCE), ("x", "b", FEEDBACK), ("x", "c", FEEDBACK))
    contradictory = [("1", "CONTRADICTORY_LABELS"), ("2", "CONTRADICTORY_LABELS")]
    assert outcome == ([("x", "a")], contradictory)


_ROWS = st.lists(
    st.tuples(st.sampled_from("xXy"), st.sampled_from("abc"), st.sampled_from(LabelSource))
)


@given(rows=_ROWS)
def test_every_row_is_accounted_for(rows: list[Row]) -> None:
    """Each row is kept or set aside, and none twice; each text is kept once at most."""
    kept, aside = deduplicate(_placed(rows))
    origins = [item.example.origin for item in kept] + [row.origin for row in aside]
    assert sorted(origins) == sorted(map(str, range(len(rows))))
    assert len({item.text_hash for item in kept}) == len(kept)


@given(rows=_ROWS, random=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Random) -> None:
    """Shuffled rows keep the same texts with the same labels."""
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert _outcome(*rows)[0] == _outcome(*shuffled)[0]
