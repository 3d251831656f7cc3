"""The HTML page of a model version."""

import re
from typing import Any

from tidemill_cli.model_page import page

FIELDS = {"task": "support", "version": 3, "state": "REJECTED", "approved by": ""}
GATES = [("champion", "FAILED", "0.02", "0", "worse")]
HOSTILE = "<script>alert('x')</script>"


def result(gate: str, **details: Any) -> dict[str, Any]:
    """Return a gate's result as JSON."""
    return {"gate": gate, "verdict": "PASSED", "reason": "", "details": details}


def part(name: str, champion: float | None) -> dict[str, Any]:
    """Return how a class changed."""
    return {"name": name, "rows": 40, "accuracy": 0.9, "champion_accuracy": champion, "chance": 1}


def test_a_version_without_gates_has_its_fields() -> None:
    """A version that is not judged yet has a page with its fields only."""
    html = page(FIELDS, [], [])
    assert "<h1>support: model version 3</h1>" in html
    assert "approved by" not in html
    assert "Reliability" not in html


def test_gates_and_classes_are_tables() -> None:
    """Each gate has a row, and each class its accuracy, the champion's, and the change."""
    html = page(FIELDS, GATES, [result("classes", parts=[part("fees", 0.95), part("new", None)])])
    assert "<td>champion</td><td>FAILED</td>" in html
    row = re.findall(r"<tr><td>fees</td>(.*?)</tr>", html)[0]
    assert re.findall(r">([^<>]+)</td>", row) == ["40", "95.0 %", "-5.0", "90.0 %"]


def test_the_confusion_matrix_has_a_cell_for_each_pair() -> None:
    """A cell says what was answered how often, and the darkness is the share of the label."""
    pairs = [
        {"label": "card", "answer": "card", "rows": 30},
        {"label": "card", "answer": "fees", "rows": 10},
        {"label": "fees", "answer": "fees", "rows": 5},
    ]
    html = page(FIELDS, GATES, [result("accuracy", confusion=pairs)])
    assert "<title>card answered fees: 10</title>" in html
    assert re.findall(r'fill-opacity="([\d.]+)"', html) == ["0.79", "0.36", "1.00"]
    assert "<tr><td>card</td><td>fees</td>" in html
    assert "<td>fees</td><td>fees</td>" not in html


def test_the_reliability_diagram_has_a_point_for_each_bin() -> None:
    """A bin is drawn at its confidence and accuracy, upwards."""
    bins = [{"n": 4, "confidence": 0.5, "accuracy": 0.25}, {"n": 1, "confidence": 1, "accuracy": 1}]
    html = page(FIELDS, GATES, [result("calibration", bins=bins)])
    assert re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', html) == [
        ("150.0", "225.0"),
        ("300.0", "0.0"),
    ]


def test_what_comes_from_data_is_text() -> None:
    """Labels with markup are escaped everywhere."""
    pairs = [{"label": HOSTILE, "answer": HOSTILE, "rows": 3}]
    html = page(
        FIELDS,
        GATES,
        [result("accuracy", confusion=pairs), result("classes", parts=[part(HOSTILE, 1.0)])],
    )
    assert "<script" not in html
