"""A report's details as tables."""

from typing import Any

import pytest

from tidemill_cli.output import sparkline
from tidemill_cli.report_sections import example_ids, sections
from tidemill_cli.task_overview import main_figure

ACCURACY: dict[str, Any] = {
    "accuracy": 0.912,
    "accuracy_low": 0.9,
    "method": "prediction-powered",
    "more_audits_needed": 0,
    "estimates": [
        {"source": "audits", "accuracy": 0.9, "low": 0.88, "high": 0.92, "row_count": 400},
        {"source": "feedback", "accuracy": None, "note": "too few", "biased": True},
    ],
    "classes": [{"label": "fees", "accuracy": 0.5, "row_count": 8, "baseline": 0.9}],
    "slices": [],
}
DRIFT: dict[str, Any] = {
    "prediction_count": 2000,
    "signals": [
        {
            "signal": "text_length",
            "distance": 0.21,
            "p_value": 0.0002,
            "drifted": True,
            "bins": ["short", "long"],
            "reference_shares": [0.6, 0.4],
            "window_shares": [0.25, 0.75],
            "example_prediction_ids": ["p1", "p2"],
        },
        {
            "signal": "label",
            "distance": 0.02,
            "bins": ["card", "fees", "login"],
            "reference_shares": [0.5, 0.3, 0.2],
            "window_shares": [0.55, 0.05, 0.4],
        },
    ],
    "new_topics": [{"terms": ["crypto", "wallet"], "row_count": 30, "share": 0.015}],
}


def tables(details: dict[str, Any]) -> dict[str, list[list[Any]]]:
    """Return the cells of each table by its title."""
    return {each.title: [list(row) for row in each.rows] for each in sections(details)}


def test_the_accuracy_by_source_and_class_is_a_table() -> None:
    """Shares are percentages, a missing figure is empty, and an empty list is no table."""
    found = tables(ACCURACY)
    assert ["accuracy", "91.2 %"] in found["Figures"]
    assert ["accuracy low", "90.0 %"] in found["Figures"]
    assert found["Accuracy by source"] == [
        ["audits", "90.0 %", "88.0 %", "92.0 %", "400", "", ""],
        ["feedback", "", "", "", "", "yes", "too few"],
    ]
    assert found["Accuracy by class"] == [["fees", "50.0 %", "8", "90.0 %"]]
    assert "Accuracy by slice" not in found


def test_a_signal_has_its_distance_and_the_bins_that_moved() -> None:
    """Bins of lengths keep their order, and those of labels are ordered by how far they moved."""
    found = tables(DRIFT)
    assert found["Drift by signal"][0] == ["text_length", "0.21", "0.0002", "yes"]
    assert found["Shares by text length"] == [
        ["short", "60.0 %", "25.0 %", "-35.0"],
        ["long", "40.0 %", "75.0 %", "+35.0"],
    ]
    assert [row[0] for row in found["Shares by label"]] == ["fees", "login", "card"]
    assert found["New topics"] == [["crypto, wallet", "30", "1.5 %"]]
    assert example_ids(DRIFT) == {"texts that moved text length": ["p1", "p2"]}
    assert example_ids({"example_prediction_ids": ["p3"]}) == {"texts of the finding": ["p3"]}


@pytest.mark.parametrize(
    ("details", "titles"),
    [
        ({}, []),
        ({"speed": 0.1, "words": []}, ["Figures"]),
        ({"steps": [{"b": 1, "a": {"n": 2}}, {"c": None}]}, ["Steps"]),
        ({"signals": [{}], "estimates": [None], "classes": 3}, ["Figures", "Drift by signal"]),
        ({"signals": [{"bins": ["x"], "reference_shares": []}]}, ["Drift by signal"]),
    ],
)
def test_details_of_another_release_are_shown(details: dict[str, Any], titles: list[str]) -> None:
    """Details without the known names, or with others in their place, make a page too."""
    assert list(tables(details)) == titles
    assert example_ids(details) == {}


def test_a_trend_goes_from_its_lowest_to_its_highest_value() -> None:
    """A constant trend is a line in the middle, and no values are an empty one."""
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([3.0, 3.0]) == "▄▄"
    assert sparkline([]) == ""


def test_the_main_figure_of_a_drift_report_is_its_largest_distance() -> None:
    """A report without a signal has none, and so has a kind without a main figure."""
    assert main_figure("drift", DRIFT) == 0.21
    assert main_figure("drift", {}) is None
    assert main_figure("rollout", {"accuracy": 1}) is None
