"""Plots as SVG."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from tidemill_server.console import plots

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_names_are_escaped_and_shortened() -> None:
    """A label cannot be markup, and a long one is cut."""
    name = "<script>alert(1)</script>" * 2

    drawn = plots.bars([plots.Bar(name, 0.2, 0.8)], name)

    root = _parsed(drawn)
    assert root.get("aria-label") == name
    assert [each.text for each in root.iter("text")] == [f"{name[:21]}…", "80.0%"]


def test_a_line_fits_its_plot() -> None:
    """Every value, interval and limit is inside of the plot, also a single one or equal ones."""
    for values in ([0.9], [0.5, 0.5], [0.0, 1.0, 0.99]):
        points = [
            plots.Point(NOW + timedelta(days=i), value, value, value, "a", is_bad=i == 0)
            for i, value in enumerate(values)
        ]
        for limit in (None, 0.875):
            root = _parsed(plots.line(points, "accuracy", limit))
            heights = [float(each.get("cy", "-1")) for each in root.iter("circle")]
            assert len(heights) == len(values)
            assert all(0 <= height <= 180 for height in heights)


def test_nothing_is_drawn_of_nothing() -> None:
    """Without values there is no plot."""
    assert plots.line([], "accuracy") == ""
    assert plots.bars([], "labels") == ""
    assert plots.spark([0.9], "accuracy") == ""


def _parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 -- the plots' own output
