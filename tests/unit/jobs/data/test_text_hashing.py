"""Hashes of many texts at once, compared with those of single texts."""

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from tidemill_core.domain.split import content_hash
from tidemill_jobs.data.text_hashing import text_hashes

CHARACTERS = st.characters(exclude_categories=["Cs"]) | st.sampled_from(
    "\x00\t\x0b\x1c\x1d\x1e\x1f \x85\xa0\u2028\u200b\u3000\ufeffAa\u0130\u017f\ufb01\u212a\u0301"
)


@given(st.text(CHARACTERS))
@example("I am Ann\x1cExample")
@example("\x1fé\x1e \x85")
def test_it_is_the_content_hash(text: str) -> None:
    """Both functions give the same hash for a text."""
    assert text_hashes(pl.Series([text, None])).to_list() == [content_hash(text), None]
