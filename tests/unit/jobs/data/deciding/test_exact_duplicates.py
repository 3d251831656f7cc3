"""Exact duplicates: each text is kept once, with its most trusted label."""

from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.domain.example import LabelSource
from tidemill_jobs.data.deciding.exact_duplicates import exact_duplicates
from tidemill_jobs.data.deciding.prepared_rows import TRUST

HUMAN, FEEDBACK, SOURCE, WEAK, MODEL = LabelSource
Row = tuple[str, str, LabelSource, float]


def _outcome(*rows: Row) -> list[str]:
    """Return KEPT or the rule that excluded the row, for each row."""
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
    """Two rows with the same text and label are one example and a DUPLICATE."""
    assert _outcome(*_rows(("x", "a", SOURCE), ("x", "a", SOURCE))) == ["KEPT", "DUPLICATE"]


def test_other_texts_are_left_alone() -> None:
    """Different texts are all kept, with any labels."""
    assert _outcome(*_rows(("x", "a", SOURCE), ("y", "a", SOURCE))) == ["KEPT", "KEPT"]


def test_the_majority_of_a_source_wins() -> None:
    """Rows with a minority label are CONTRADICTORY_LABELS."""
    outcome = _outcome(*_rows(("x", "b", SOURCE), ("x", "a", SOURCE), ("x", "a", SOURCE)))
    assert outcome == ["CONTRADICTORY_LABELS", "KEPT", "DUPLICATE"]


def test_a_tie_keeps_nothing() -> None:
    """Labels in a tie leave no example."""
    outcome = _outcome(*_rows(("x", "a", SOURCE), ("x", "b", SOURCE)))
    assert outcome == ["CONTRADICTORY_LABELS"] * 2


def test_people_beat_users_who_beat_the_source_who_beats_functions() -> None:
    """One label of a more trusted source wins over many others."""
    rows = _rows(("x", "a", WEAK), ("x", "b", SOURCE), ("x", "b", SOURCE), ("x", "c", FEEDBACK))
    assert _outcome(*rows) == ["CORRECTED", "CORRECTED", "CORRECTED", "KEPT"]
    assert _outcome(*rows, ("x", "d", HUMAN, 1.0)) == ["CORRECTED"] * 4 + ["KEPT"]


def test_a_models_own_answer_is_trusted_least() -> None:
    """A label of functions beats many answers of models."""
    rows = _rows(("x", "a", WEAK), ("x", "b", MODEL), ("x", "b", MODEL))
    assert _outcome(*rows) == ["KEPT", "CORRECTED", "CORRECTED"]


def test_a_confirmation_is_a_duplicate() -> None:
    """Feedback that agrees with the source leaves one example, from the more trusted source."""
    assert _outcome(*_rows(("x", "a", SOURCE), ("x", "a", FEEDBACK))) == ["DUPLICATE", "KEPT"]


def test_people_who_disagree_leave_it_to_the_source() -> None:
    """A tie among people excludes their labels; the source's label stays."""
    outcome = _outcome(*_rows(("x", "a", SOURCE), ("x", "b", FEEDBACK), ("x", "c", FEEDBACK)))
    assert outcome == ["KEPT", "CONTRADICTORY_LABELS", "CONTRADICTORY_LABELS"]


def test_trusted_users_outweigh_several_others() -> None:
    """Verdicts count by their weights, not by their number."""
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
    """At most one row of a text is kept, and one is kept if all labels agree."""
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
