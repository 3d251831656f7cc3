"""Cleaning of rows, and the rules that quarantine them."""

import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tidemill_core.text_repair import repair
from tidemill_jobs.data.landing.intake import LANDED
from tidemill_jobs.data.preparing.clean import Cleaning, clean, repaired

CLEANING = Cleaning(max_text_length=10)
ANN = "ann@example.org "


def landed(*rows: tuple[str | None, str | None]) -> pl.DataFrame:
    """Return rows of a source with these texts and labels."""
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    frame = pl.DataFrame(columns, schema={"text": pl.String, "label": pl.String})
    given = {"part": "train.csv", "origin": "train.csv:2", "label_source": "source"}
    return frame.select(
        pl.col(name) if name in columns else pl.lit(given.get(name), kind).alias(name)
        for name, kind in LANDED.items()
    )


def _cleaned(
    text: str | None, label: str | None = "a", cleaning: Cleaning = CLEANING
) -> dict[str, object]:
    return clean(landed((text, label)), cleaning).row(0, named=True)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  hi \t there\r\n", "hi there"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u00a0b", "a b"),
        ("\U0001f44d", "\U0001f44d"),
        ("caf\u00c3\u00a9", "caf\u00e9"),
        ("\u2014", "\u2014"),
    ],
)
def test_texts_get_one_form(text: str, cleaned: str) -> None:
    """Broken encodings are repaired, accents composed, whitespace stripped and collapsed."""
    assert _cleaned(text)["text"] == cleaned


def test_labels_get_the_same_form() -> None:
    """Spaces around a label are removed."""
    assert _cleaned("x", " lost  card ")["label"] == "lost card"


@pytest.mark.parametrize(
    ("text", "label", "rule"),
    [
        (None, "a", "NULL_TEXT"),
        ("", "a", "NULL_TEXT"),
        ("xx", "", "NULL_LABEL"),
        ("xx", None, "NULL_LABEL"),
        ("xx", "  ", "NULL_LABEL"),
        (" \t\n", "a", "BLANK_TEXT"),
        ("\u200b\u00a0", "a", "BLANK_TEXT"),
        ("x" * 11, "a", "TEXT_TOO_LONG"),
        ("x", "a", "TEXT_TOO_SHORT"),
        ("x\x00y", "a", "CONTROL_CHARACTERS"),
        ("x\x1by", "a", "CONTROL_CHARACTERS"),
        ("xx", "a\x07", "CONTROL_CHARACTERS"),
    ],
)
def test_each_rule_sets_its_rows_aside(text: str | None, label: str | None, rule: str) -> None:
    """A row that breaks a rule has no text and label, but the offending value."""
    row = _cleaned(text, label, Cleaning(max_text_length=10, min_text_length=2))
    assert (row["rule"], row["text"], row["label"]) == (rule, None, None)
    assert row["value"] == (text or label)


def test_rows_without_labels_are_sound() -> None:
    """Rows of a source without labels break no rule."""
    rows = landed(("x", None), ("y", None)).with_columns(label_source=pl.lit(None, pl.String))
    assert clean(rows, CLEANING)["rule"].to_list() == [None, None]


def test_the_length_is_the_cleaned_texts() -> None:
    """Removed whitespace does not count for the length."""
    assert _cleaned("x" * 10 + " " * 50)["text"] == "x" * 10


def test_one_bad_row_costs_no_other() -> None:
    """Rows keep their order, and each bad row has its own rule and value."""
    rows = clean(landed(("one", "a"), ("x" * 300, "b"), ("", "b"), ("two", "b")), CLEANING)
    assert rows["text"].to_list() == ["one", None, None, "two"]
    assert rows["rule"].to_list() == [None, "TEXT_TOO_LONG", "NULL_TEXT", None]
    assert rows["value"].to_list() == [None, "x" * 200, "b", None]


def test_rows_set_aside_before_stay_as_they_are() -> None:
    """Unreadable rows are not checked again."""
    rows = landed(("", "")).with_columns(
        text=pl.lit(None, pl.String),
        label=pl.lit(None, pl.String),
        rule=pl.lit("BROKEN_QUOTES"),
        value=pl.lit('"x'),
    )
    assert_frame_equal(clean(rows, CLEANING), rows)


@pytest.mark.parametrize("rows", [landed(), landed(("x", "a")), landed(("", ""))])
def test_nothing_and_nothing_sound_are_cleaned_too(rows: pl.DataFrame) -> None:
    """No rows, or no valid rows, are no error, and keep the columns' types."""
    assert clean(rows, CLEANING).schema == rows.schema


@pytest.mark.parametrize(
    ("kind", "text", "redacted"),
    [
        ("email", "ask ann.b@example.org today", "ask [EMAIL] today"),
        ("email", "caf\u00e9 @ noon", "caf\u00e9 @ noon"),
        ("phone", "call +44 20 7946 0958 now", "call [PHONE] now"),
        ("phone", "the sum is +12 34", "the sum is +12 34"),
        ("card", "card 4111 1111 1111 1111.", "card [CARD]."),
        ("card", "card 4111 1111 1111 1112.", "card 4111 1111 1111 1112."),
        ("iban", "to GB82 WEST 1234 5698 7654 32 please", "to [IBAN] please"),
        ("iban", "to \u200dGB82 WEST 1234 5698 7654 32", "to \u200d[IBAN]"),
        ("card", "no\u03294111 1111 1111 1111", "no\u0329[CARD]"),
        ("iban", "to GB83 WEST 1234 5698 7654 32 please", "to GB83 WEST 1234 5698 7654 32 please"),
    ],
)
def test_personal_data_is_redacted_where_asked(kind: str, text: str, redacted: str) -> None:
    """A placeholder replaces real addresses, numbers and accounts, and nothing else."""
    cleaning = Cleaning(max_text_length=100, redact=(kind,))
    assert _cleaned(text, cleaning=cleaning)["text"] == redacted
    assert _cleaned(text, cleaning=Cleaning(max_text_length=100))["text"] == text


@pytest.mark.parametrize("start", ["a" * 60_000, "a." * 30_000, "a@" + "a-" * 30_000])
def test_redacting_takes_a_time_that_grows_with_the_text(start: str) -> None:
    """The time does not grow with the square of a long word's length."""
    began = time.perf_counter()
    redacted = _cleaned(f"{start} b@c.de", cleaning=Cleaning(100_000, redact=("email",)))["text"]
    assert redacted == f"{start} [EMAIL]"
    assert time.perf_counter() - began < 1.5


@pytest.mark.parametrize(("spaces", "rule"), [(1030, None), (1031, "TEXT_TOO_LONG")])
def test_no_step_looks_at_a_text_that_is_far_too_long(spaces: int, rule: str | None) -> None:
    """Such a raw text is TEXT_TOO_LONG and is not cleaned."""
    row = _cleaned("x" * 10 + " " * spaces)
    assert (row["rule"], row["text"]) == (rule, None if rule else "x" * 10)


@pytest.mark.parametrize(
    "text", ["ann@example.org \x00", "ann@example.org" + " x" * 300, ANN * 400]
)
def test_what_is_shown_of_a_bad_row_is_redacted(text: str) -> None:
    """A quarantined value is published with the version, so it is redacted too."""
    row = _cleaned(text, cleaning=Cleaning(100, redact=("email",)))
    assert row["rule"] is not None
    assert str(row["value"]).startswith("[EMAIL]")
    assert "@" not in str(row["value"])


def test_what_is_shown_of_an_unreadable_row_is_redacted() -> None:
    """An unreadable line may have a text, so it is redacted too."""
    rows = landed(("", "")).with_columns(
        rule=pl.lit("BROKEN_JSON"), value=pl.lit(f'{{"text": "{ANN}')
    )
    assert clean(rows, Cleaning(10, redact=("email",)))["value"].to_list() == ['{"text": "[EMAIL] ']


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), max_size=8))
def test_many_texts_are_repaired_as_one_is(texts: list[str | None]) -> None:
    """A build repairs a column as the front repairs each text."""
    column = repaired(pl.Series(texts, dtype=pl.String)).to_list()
    assert column == [None if text is None else repair(text) for text in texts]
