"""The split, which a text's own hash decides."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.domain.split import Split, content_hash, normalize, split_of

# No surrogates: they are refused earlier.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "start", "split"),
    [
        ("hello world", "b94d27b9934d3e08", Split.TRAIN),
        ("I lost my card", "3974feaea2557a54", Split.TRAIN),
        ("Straße", "16d96952087774fe", Split.TRAIN),
        ("ticket 21", "ab8e44e42c61d231", Split.VALIDATION),
        ("ticket 24", "c279db6a89c14876", Split.VALIDATION),
        ("ticket 40", "9971e182483d408e", Split.TEST),
        ("ticket 64", "28d3d879f53e296e", Split.TEST),
    ],
)
def test_known_texts_stay_where_they_are(text: str, start: str, split: Split) -> None:
    """The rule never changes: a held-out text stays held out."""
    assert content_hash(text)[:16] == start
    assert split_of(content_hash(text)) is split


@pytest.mark.parametrize(
    ("number", "split"),
    [
        (0, Split.TEST),
        (699, Split.TEST),
        (700, Split.VALIDATION),
        (999, Split.VALIDATION),
        (1000, Split.TRAIN),
        (9_999, Split.TRAIN),
        (10_000, Split.TEST),
        (20_700, Split.VALIDATION),
    ],
)
def test_the_limits_between_splits(number: int, split: Split) -> None:
    """Of 10,000 places the first 700 are the test split and the next 300 validation."""
    assert split_of(f"{number:016x}" + "f" * 48) is split


def test_shares() -> None:
    """About 7 % of texts are held out for the gates and 3 % for calibration."""
    rows = 20_000
    counts = Counter(split_of(content_hash(f"ticket number {n}")) for n in range(rows))
    assert counts[Split.TEST] / rows == pytest.approx(0.07, abs=0.01)
    assert counts[Split.VALIDATION] / rows == pytest.approx(0.03, abs=0.007)


@pytest.mark.parametrize(
    "other",
    [
        "CAFÉ AU LAIT",
        "  café\tau\n lait ",
        "cafe\u0301 au lait",
        "ｃａｆé au lait",
        "café\u00a0au lait",
    ],
)
def test_the_same_text_otherwise_written(other: str) -> None:
    """Case, whitespace, composition and width do not change the text."""
    assert content_hash(other) == content_hash("café au lait")


def test_german_and_greek_case() -> None:
    """Letters whose capitals differ in number or by position do not change the text."""
    assert normalize("STRASSE") == normalize("Straße")
    assert normalize("ΣΊΣΥΦΟΣ") == normalize("Σίσυφος")


def test_other_texts_differ() -> None:
    """Words, their order, accents and punctuation change the text."""
    texts = ["lost card", "card lost", "lost cards", "lost card?", "löst card", "lostcard"]
    assert len({content_hash(text) for text in texts}) == len(texts)


@given(TEXTS)
def test_composition_never_matters(text: str) -> None:
    """A text and its decomposed and composed forms are the same text."""
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normalize(unicodedata.normalize(form, text)) == normalize(text)


@given(
    st.lists(st.sampled_from(["Card", "lost", "42", "?"]), min_size=1),
    st.sampled_from(" \t\n\u3000"),
)
def test_spacing_and_case_never_matter(words: list[str], space: str) -> None:
    """Any whitespace between words, and any case, gives the same text."""
    text = space * 2 + (space * 3).join(words).upper() + space
    assert normalize(text) == " ".join(words).lower()
