"""Keeping each text once, with the label that is trusted most."""

from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.domain.example import LabelSource
from tidemill_jobs.data.deciding.exact_duplicates import exact_duplicates
from tidemill_jobs.data.deciding.prepared_rows import TRUST

HUMAN, FEEDBACK, SOURCE, WEAK = LabelSource
Row = tuple[str, str, LabelSource, float]


def _outcome(*rows: Row) -> list[str]:
    """For each row KEPT, or the rule that excluded it."""
    frame = pl.DataFrame(
        {
            "number": pl.int_range(len(rows), dtype=pl.UInt64, eager=True),
            "text_key": pl.Series([ord(text.lower()) for text, *_ in rows], dtype=pl.UInt64),
            "exact_key": pl.Series([ord(text) for text, *_ in rows], dtype=pl.UInt64),
            "label": pl.Series([label for _, label, *_ in rows], dtype=pl.String),
            "label_source": pl.Series([str(source) for *_, source, _ in rows], dtype=TRUST),
            "weight": pl.Series([weight for *_, weight in rows], dtype=pl.Float64),
        }
    )
    rules = dict(exact_duplicates(frame).iter_rows())
    return [rules.get(number, "KEPT") for number in range(len(rows))]


def _rows(*rows: tuple[str, str, LabelSource]) -> list[Row]:
    return [(*row, 1.0) for row in rows]


def test_equal_rows_are_kept_once() -> None:
    """The same text with the same label is one example and a DUPLICATE."""
    assert _outcome(*_rows(("x", "a", SOURCE), ("x", "a", SOURCE))) == ["KEPT", "DUPLICATE"]


def test_other_texts_are_left_alone() -> None:
    """Different texts are all kept, whatever their labels."""
    assert _outcome(*_rows(("x", "a", SOURCE), ("y", "a", SOURCE))) == ["KEPT", "KEPT"]


def test_the_majority_of_a_source_wins() -> None:
    """Rows with another label than most rows of the text are contradictory."""
    outcome = _outcome(*_rows(("x", "b", SOURCE), ("x", "a", SOURCE), ("x", "a", SOURCE)))
    assert outcome == ["CONTRADICTORY_LABELS", "KEPT", "DUPLICATE"]


def test_a_tie_keeps_nothing() -> None:
    """Labels that contradict each other evenly leave no example."""
    outcome = _outcome(*_rows(("x", "a", SOURCE), ("x", "b", SOURCE)))
    assert outcome == ["CONTRADICTORY_LABELS"] * 2


def test_people_beat_users_who_beat_the_source_who_beats_functions() -> None:
    """One label of a more trusted source replaces any number of others."""
    rows = _rows(("x", "a", WEAK), ("x", "b", SOURCE), ("x", "b", SOURCE), ("x", "c", FEEDBACK))
    assert _outcome(*rows) == ["CORRECTED", "CORRECTED", "CORRECTED", "KEPT"]
    assert _outcome(*rows, ("x", "d", HUMAN, 1.0)) == ["CORRECTED"] * 4 + ["KEPT"]


def test_a_confirmation_is_a_duplicate() -> None:
    """Feedback that agrees with the source leaves one example, with people's word for it."""
    assert _outcome(*_rows(("x", "a", SOURCE), ("x", "a", FEEDBACK))) == ["DUPLICATE", "KEPT"]


def test_people_who_disagree_leave_it_to_the_source() -> None:
    """A tie among people sets their labels aside; the source's stands."""
    outcome = _outcome(*_rows(("x", "a", SOURCE), ("x", "b", FEEDBACK), ("x", "c", FEEDBACK)))
    assert outcome == ["KEPT", "CONTRADICTORY_LABELS", "CONTRADICTORY_LABELS"]


def test_trusted_users_outweigh_several_others() -> None:
    """Verdicts count as much as their source is trusted, and not how many they are."""
    rows = [("x", "a", FEEDBACK, 0.3), ("x", "a", FEEDBACK, 0.3), ("x", "b", FEEDBACK, 0.7)]
    assert _outcome(*rows) == ["CONTRADICTORY_LABELS", "CONTRADICTORY_LABELS", "KEPT"]


_ROWS = st.lists(
    st.tuples(
        st.sampled_from("xXy"),
        st.sampled_from("abc"),
        st.sampled_from(LabelSource),
        st.sampled_from([0.1, 0.2, 0.3, 1.0]),
    )
)


@given(rows=_ROWS)
def test_each_text_is_kept_once_at_most(rows: list[Row]) -> None:
    """Of rows with one text, in any case, one is kept at most, and one where nobody disagrees."""
    kept = [row for row, rule in zip(rows, _outcome(*rows), strict=True) if rule == "KEPT"]
    texts = [text.lower() for text, *_ in kept]
    assert len(set(texts)) == len(texts)
    labels = {text: {label for t, label, *_ in rows if t.lower() == text} for text in "xy"}
    assert {text for text, found in labels.items() if len(found) == 1} <= set(texts)


@given(rows=_ROWS, random=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Random) -> None:
    """Shuffled rows keep the same texts with the same labels."""

    def kept(rows: list[Row]) -> set[Row]:
        return {row for row, rule in zip(rows, _outcome(*rows), strict=True) if rule == "KEPT"}

    assert kept(random.sample(rows, len(rows))) == kept(rows)
