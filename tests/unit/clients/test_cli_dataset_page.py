"""The HTML page of a dataset version."""

import re
from typing import Any

from tidemill_cli.dataset_page import page

HOSTILE = "<script>alert('x')</script>\u202e\x1b[31m"


def version(labels: dict[str, int], **others: Any) -> dict[str, Any]:
    """Return a version's description with these label counts."""
    return {
        "dataset_version": "3f9a1c20" * 8,
        "task": "support",
        "uri": "datasets/support",
        "row_counts": {"train": sum(labels.values())},
        "label_counts": labels,
        "label_source_counts": {"source": sum(labels.values())},
        "source_counts": {},
        "quarantine_counts": {},
        "erased_count": 0,
        "create_time": "2026-03-01T12:00:00Z",
        "build_time": None,
        "code_version": "1",
        "parents": [],
        **others,
    }


def test_bars_are_as_long_as_shares_of_all_rows() -> None:
    """A class with a quarter of the rows has a quarter-length bar, and the axis is 0 to 100 %."""
    html = page(version({"a": 75, "b": 25}))
    assert re.findall(r'<rect y="15%" width="([\d.]+)%"', html) == ["75.00", "25.00", "100.00"]
    assert html.count("0 to 100 %") == 2


def test_classes_are_counted_by_split() -> None:
    """If the rows exist, each class has its count in each split."""
    counts = {"a": {"train": 8, "test": 1}, "b": {"train": 1}}
    html = page(version({"a": 9, "b": 1}, split_counts=counts))
    cells = re.findall(r"<tr><td>a</td>(.*?)</tr>", html)[0]
    assert re.findall(r">([^<>]+)</td>", cells) == ["9", "8", "0", "1", "90.0 %"]
    assert "<th" in html
    assert all(f">{name}</th>" in html for name in ("train", "validation", "test"))


def test_many_classes_are_folded() -> None:
    """The 20 largest classes are shown, the others on demand; none is missing."""
    html = page(version({f"label{n}": 100 - n for n in range(30)}))
    shown, _, folded = html.partition("<details>")
    assert "<summary>10 more</summary>" in folded
    assert [f">label{n}<" in shown for n in range(30)] == [True] * 20 + [False] * 10
    assert all(f">label{n}<" in folded for n in range(20, 30))
    assert "<details>" not in page(version({f"label{n}": 1 for n in range(20)}))


def test_what_comes_from_data_is_text() -> None:
    """Markup is escaped, and control and bidi characters are shown as escapes."""
    html = page(version({HOSTILE: 1, "b": 1}))
    assert r"&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;\u202e\x1b[31m" in html
    assert not re.search("[\x1b\u202e]", html)


def test_the_page_fits_a_small_screen() -> None:
    """The page tells phones its width, and wide tables scroll."""
    html = page(version({"a": 1, "b": 1}))
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "overflow-x: auto" in html
