"""An evaluation as fields and tables, for the terminal and for pages."""

from collections.abc import Iterator, Mapping
from typing import Any

from tidemill_cli.class_measures import classes_section
from tidemill_cli.model_page import confusions
from tidemill_cli.output import percent, print_fields, shortened
from tidemill_cli.section import Section, print_section
from tidemill_core.counted import counted

Evaluation = Mapping[str, Any]
_SHOWN_ERRORS = 10


def print_evaluation(found: Evaluation) -> None:
    """Print an evaluation."""
    print_fields(fields_of(found))
    for section in sections_of(found):
        print_section(section)


def fields_of(found: Evaluation) -> dict[str, Any]:
    """Return the figures of the whole."""
    return {
        "task": found["task"],
        "model version": found["model_version"],
        "rows": f"{found['row_count']:,}",
        "rows left out": [f"{count:,}  {why}" for why, count in found["left_out"].items()],
        "unknown labels": [
            f"{each['row_count']:,}  {each['label']}" for each in found["unknown_labels"]
        ],
        **_measures(found),
        **(_comparison(found) if "against" in found else {}),
    }


def sections_of(found: Evaluation) -> Iterator[Section]:
    """Yield the tables."""
    yield classes_section(found["classes"])
    yield confusions(found["confusion"])
    yield _reliability(found)
    yield worst_errors(found)


def worst_errors(found: Evaluation) -> Section:
    """Return the wrong answers with the highest confidence."""
    rows = [
        (
            each["label"],
            each["answer"],
            percent(each["confidence"]),
            shortened(each.get("line", "")) or each["origin"],
        )
        for each in found["worst_errors"][:_SHOWN_ERRORS]
    ]
    return Section("Worst errors", ("label", "answered", "confidence", "row"), rows)


def _measures(found: Evaluation) -> dict[str, Any]:
    sure = found["accuracy_without_abstained"]
    abstained = f"{found['abstained']:,}"
    if found["abstained"] and sure is not None:
        abstained += f"; accuracy of the others {percent(sure)}"
    return {
        "accuracy": _with_interval(found),
        "macro F1": percent(found["macro_f1"]),
        "calibration error": percent(found["expected_calibration_error"]),
        "mean confidence": percent(found["mean_confidence"]),
        "abstained": abstained if found["abstained"] else "",
    }


def _with_interval(found: Evaluation) -> str:
    low, high = found["accuracy_low"], found["accuracy_high"]
    return f"{percent(found['accuracy'])} (95 % interval {percent(low)} to {percent(high)})"


def _comparison(found: Evaluation) -> dict[str, Any]:
    other, paired = found["against"], found["comparison"]
    difference = (
        f"{100 * paired['difference']:+.2f} points (95 % interval "
        f"{100 * paired['difference_low']:+.2f} to {100 * paired['difference_high']:+.2f})"
    )
    rows = (
        f"right only with version {found['model_version']}: "
        f"{counted(paired['only_first'], 'row')}; "
        f"only with version {other['model_version']}: {counted(paired['only_second'], 'row')}"
    )
    return {
        "against version": other["model_version"],
        "its accuracy": _with_interval(other),
        "difference": difference,
        "changed rows": rows,
        "verdict": f"{paired['verdict']} (McNemar's exact test, p = {paired['p_value']:.3g})",
    }


def _reliability(found: Evaluation) -> Section:
    rows = [
        (percent(each["confidence"]), percent(each["accuracy"]), each["n"])
        for each in found["reliability"]
    ]
    return Section("Reliability", ("mean confidence", "accuracy", "rows"), rows)
