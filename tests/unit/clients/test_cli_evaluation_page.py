"""The tables and the page of an evaluation, and the lines of its worst errors."""

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tidemill_cli.class_measures import measures_of_confusion
from tidemill_cli.evaluation_page import page
from tidemill_cli.evaluation_tables import fields_of
from tidemill_cli.worst_errors import with_lines

HOSTILE = "<script>alert('x')</script>"
CONFUSION = [
    {"label": "card", "answer": "card", "rows": 8},
    {"label": "card", "answer": HOSTILE, "rows": 2},
]


def version(number: int, *origins: str) -> dict[str, Any]:
    """Return the measures of a version."""
    error = {"label": "card", "answer": HOSTILE, "confidence": 0.9}
    return {
        "model_version": number,
        "accuracy": 0.8,
        "accuracy_low": 0.7,
        "accuracy_high": 0.9,
        "macro_f1": 0.5,
        "expected_calibration_error": 0.1,
        "mean_confidence": 0.9,
        "abstained": 2,
        "accuracy_without_abstained": 0.85,
        "classes": measures_of_confusion(CONFUSION),
        "confusion": CONFUSION,
        "reliability": [{"n": 10, "confidence": 0.9, "accuracy": 0.8}],
        "worst_errors": [{**error, "origin": origin} for origin in origins],
    }


def evaluation(*origins: str, **more: Any) -> dict[str, Any]:
    """Return an evaluation."""
    counts = {"row_count": 10, "left_out": {"NO_LABEL": 1}, "unknown_labels": []}
    return {"task": "support", "input": "in.csv", **counts, **version(3, *origins), **more}


def test_the_page_has_every_part_and_no_script() -> None:
    """Names of classes and lines of the file are escaped, and each plot is there."""
    found = evaluation("in.csv:2")
    found["worst_errors"][0]["line"] = HOSTILE
    html = page(found)
    assert "support: evaluation of version 3" in html
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 2
    assert 'aria-label="confusion matrix"' in html
    assert 'aria-label="reliability diagram"' in html


def test_a_comparison_says_which_is_better() -> None:
    """The fields of a comparison have the difference, its interval and the test."""
    comparison = {
        "only_first": 9,
        "only_second": 1,
        "difference": 0.08,
        "difference_low": 0.02,
        "difference_high": 0.14,
        "p_value": 0.0215,
        "verdict": "better",
    }
    fields = fields_of(evaluation(against=version(2), comparison=comparison))
    assert fields["verdict"] == "better (McNemar's exact test, p = 0.0215)"
    assert fields["difference"] == "+8.00 points (95 % interval +2.00 to +14.00)"


def test_lines_come_from_the_file_on_this_machine(tmp_path: Path) -> None:
    """An error gets the line of a CSV or the row of a Parquet file; elsewhere only its place."""
    lines, rows = tmp_path / "in.csv", tmp_path / "in.parquet"
    lines.write_text("text,label\nfirst,card\nsecond,fee\n")
    pl.DataFrame({"text": ["first", "second"]}).write_parquet(rows)
    for path, number in ((lines, 3), (rows, 2)):
        [error] = with_lines(evaluation(f"{path}:{number}"), str(path))["worst_errors"]
        assert error["line"].startswith("second")
    times = pa.array([datetime(2026, 1, 2)], pa.timestamp("us", "+05:30"))
    far = pa.array([1 << 60]).cast(pa.timestamp("us"))
    pq.write_table(pa.table({"row": ["third"], "at": times, "far": far}), rows)
    [error] = with_lines(evaluation(f"{rows}:1"), str(rows))["worst_errors"]
    assert error["line"].startswith("third, 2026-01-02 05:30:00+05:30, ")
    away = evaluation("s3://b/in.csv:3", "db:rows:1", "gone.csv:9")
    assert all("line" not in error for error in with_lines(away, "s3://b/in.csv")["worst_errors"])
