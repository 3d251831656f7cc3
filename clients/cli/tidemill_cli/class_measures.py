"""The measures of each class, as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tidemill_cli.output import percent
from tidemill_cli.section import Section
from tidemill_core.domain.confusion import Confusion, measures_of_classes

Measures = Mapping[str, Any]
"""The fields of `ClassMeasures`."""


def measures_of_confusion(pairs: Sequence[Mapping[str, Any]]) -> list[Measures]:
    """Return the measures of each class of a confusion matrix."""
    found = measures_of_classes(
        Confusion(pair["label"], pair["answer"], pair["rows"]) for pair in pairs
    )
    return [asdict(each) for each in found]


def classes_of_gates(results: Sequence[Mapping[str, Any]]) -> list[Measures]:
    """Return the measures of each class on a version's hold-out; none without a hold-out.

    Args:
        results: the gates' results as JSON; the gate on accuracy has the confusion matrix.
    """
    details = next((each["details"] for each in results if each["gate"] == "accuracy"), None)
    return measures_of_confusion((details or {}).get("confusion") or [])


def classes_section(classes: Sequence[Measures]) -> Section:
    """Return a table of classes, the lowest F1 first."""
    order = sorted(classes, key=lambda each: (each["f1"], each["label"]))
    rows = [
        (
            each["label"],
            each["row_count"],
            _share(each["precision"]),
            _share(each["recall"]),
            _interval(each),
            _share(each["f1"]),
        )
        for each in order
    ]
    columns = ("class", "rows", "precision", "recall", "95 % interval of the recall", "F1")
    return Section("Classes", columns, rows, [each["f1"] for each in order])


def _share(value: float | None) -> str:
    return "" if value is None else percent(value)


def _interval(measures: Measures) -> str:
    if measures["recall_low"] is None:
        return ""
    return f"{percent(measures['recall_low'])} to {percent(measures['recall_high'])}"
