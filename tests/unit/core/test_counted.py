"""Numbers of things, in words."""

import pytest

from tidemill_core.counted import counted


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 rows"), (1, "1 row"), (1.0, "1 row"), (0.5, "0.5 rows"), (1234567, "1,234,567 rows")],
)
def test_one_thing_is_no_plural(number: float, words: str) -> None:
    """One thing has no s; thousands are apart."""
    assert counted(number, "row") == words
