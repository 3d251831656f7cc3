"""The details of reports, as the checks write them."""

from typing import Any

from tests.integration.server.models import LABELS


def accuracy_details(
    accuracy: float, labels: tuple[str, ...], champion: int, ids: list[str]
) -> dict[str, Any]:
    """Return the details of an accuracy report about a champion with five labels."""

    def estimate(value: float, width: float, rows: int) -> dict[str, Any]:
        return {
            "accuracy": value,
            "low": value - width,
            "high": min(value + width, 1.0),
            "row_count": rows,
        }

    sources = (
        ("combined", 0.0, 0.018, 612),
        ("audits", 0.004, 0.031, 180),
        ("feedback", -0.041, 0.022, 432),
        ("confidence", 0.012, 0.03, 9800),
    )
    classes = zip(labels, (-0.02, 0.03, 0.02, -0.07, 0.0), strict=True)
    return {
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.018,
        "accuracy_high": accuracy + 0.018,
        "interval_confidence": 0.95,
        "method": "combined",
        "baseline_accuracy": 0.905,
        "max_accuracy_drop": 0.03,
        "estimates": [
            {
                "source": source,
                **estimate(accuracy + shift, width, rows),
                "biased": source == "feedback",
                "note": "",
            }
            for source, shift, width, rows in sources
        ],
        "classes": [
            {"label": label, **estimate(accuracy + shift, 0.04, 120), "baseline": 0.9}
            for label, shift in classes
        ],
        "slices": [
            {"slice": name, **estimate(accuracy + shift, 0.05, 80), "baseline": 0.9}
            for name, shift in (("channel=app", 0.01), ("channel=mail", -0.05))
        ],
        "versions": [
            {"model_version": version, **estimate(accuracy, 0.05, 90), "baseline": 0.9}
            for version in (1, champion)
        ],
        "windows": [
            {"since": f"2026-11-{day}T00:00:00+00:00", **estimate(accuracy, 0.05, 90)}
            for day in (28, 27)
        ],
        "more_audits_needed": 40,
        "example_prediction_ids": ids[:2],
    }


def drift_details(drifted: bool, ids: list[str]) -> dict[str, Any]:
    """Return the details of a drift report; one that drifted has a new topic, too."""
    shift = 0.11 if drifted else 0.01
    return {
        "prediction_count": 4812,
        "signals": [
            {
                "signal": "label",
                "distance": shift,
                "p_value": 0.0004 if drifted else 0.4,
                "drifted": drifted,
                "bins": list(LABELS),
                "reference_shares": [0.35, 0.28, 0.17, 0.2],
                "window_shares": [0.35 - shift, 0.28, 0.17, 0.2 + shift],
                "example_prediction_ids": ids[:5],
            },
            {
                "signal": "text_length",
                "distance": 0.02,
                "p_value": 0.6,
                "drifted": False,
                "bins": ["1-20", "21-60", "61-140", "141+"],
                "reference_shares": [0.1, 0.5, 0.3, 0.1],
                "window_shares": [0.12, 0.48, 0.3, 0.1],
                "example_prediction_ids": ids[5:8],
            },
            {
                "signal": "representation",
                "distance": None,
                "p_value": None,
                "drifted": False,
                "note": "the model has no reference of representations",
            },
        ],
        "new_topics": [
            {
                "terms": ["instant", "transfer", "weekend"],
                "row_count": 212,
                "share": 0.044,
                "example_prediction_ids": ids[8:11],
            }
        ]
        if drifted
        else [],
        "accuracy_cost": 0.02,
    }
