"""The job `write_evidently`, with Evidently itself."""

import json
from collections.abc import Callable
from pathlib import Path

from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.tools.evidently_report import run

Answer = Callable[..., list[str]]


def test_the_window_is_compared_by_evidently(context: JobContext, answer: Answer) -> None:
    """A window with one label has drifted; the HTML loads nothing and has no texts."""
    answer("a" * 300)
    result = run(context)
    assert (result["prediction_count"], result["drifted_columns"]) == (300, 1)
    page, document = Path(str(result["html"])), Path(str(result["json"]))
    assert page.is_relative_to(context.settings.state_dir / "reports" / "support")
    assert "<script src=" not in page.read_text()
    assert "the text" not in page.read_text()
    drift = {
        each["config"].get("column"): each["value"]
        for each in json.loads(document.read_text())["metrics"]
        if "ValueDrift" in each["metric_name"]
    }
    assert drift["label"] < 0.05 < drift["confidence"]  # p-values, as there are few rows


def test_a_window_without_predictions_has_no_report(context: JobContext) -> None:
    """The result says so, and no file is written."""
    assert run(context)["prediction_count"] == 0
    assert not (context.settings.state_dir / "reports").exists()
