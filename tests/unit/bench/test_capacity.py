"""The figures of the capacity page."""

from pathlib import Path

from bench.scale.capacity import coefficients, need, table

PAGE = Path(__file__).parents[3] / "docs" / "capacity.md"


def test_the_page_has_what_the_command_prints() -> None:
    """The tables of the page are those that the command computes."""
    text = PAGE.read_text(encoding="utf-8")
    assert coefficients() in text
    assert table(1000, 90) in text


def test_what_is_stored_is_bounded() -> None:
    """Above the most that is stored, a share is sampled, and the disk does not grow."""
    below, above = need(100, 1000, 90), need(100_000, 1000, 90)
    assert (below.log_sample, above.log_sample) == (1.0, 0.01)
    assert above.gigabytes == need(1000, 1000, 90).gigabytes
    assert above.workers > need(10_000, 1000, 90).workers
