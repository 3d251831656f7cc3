"""A report's details as tables.

Known tables have a title and an order of their columns. Details that another release wrote may lack
any of them, and may have others, which are shown by their names.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill_cli.output import percent
from tidemill_cli.section import Section

Details = Mapping[str, Any]

_ESTIMATE = ("accuracy", "low", "high", "row_count")
_TABLES: Mapping[str, tuple[str, Sequence[str]]] = {
    "estimates": ("Accuracy by source", ("source", *_ESTIMATE, "biased", "note")),
    "classes": ("Accuracy by class", ("label", *_ESTIMATE, "baseline", "fell")),
    "slices": ("Accuracy by slice", ("slice", *_ESTIMATE, "baseline", "fell")),
    "versions": ("Accuracy by version", ("model_version", *_ESTIMATE, "baseline")),
    "windows": ("Accuracy of the last windows", ("since", "until", *_ESTIMATE)),
    "signals": ("Drift by signal", ("signal", "distance", "p_value", "drifted", "note")),
    "new_topics": ("New topics", ("terms", "row_count", "share")),
    "attacks": ("Held feedback", ("reason", "label", "sources", "count", "why")),
    "sources": (
        "How often people's labels agree with the sources",
        (
            *("source", "right_count", "wrong_count"),
            *("agreement", "agreement_low", "agreement_high"),
        ),
    ),
    "burn_rates": (
        "Error budget: how many times too fast it is used up",
        (
            *("long_hours", "short_hours", "max_burn_rate", "long_burn_rate", "short_burn_rate"),
            *("failed_count", "total_count", "alerts"),
        ),
    ),
}
_BARS = ("accuracy", "share", "distance")
_PARTS_OF_BINS = ("bins", "reference_shares", "window_shares")
_EXAMPLES = "example_prediction_ids"
_ORDERED = ("confidence", "text_length", "unknown_pieces")
"""Signals whose bins have an order."""
_SHARES = ("accuracy", "low", "high", "baseline", "share", "drop", "confidence")
"""The last words of names whose values are shares of one."""


def sections(details: Details) -> Iterator[Section]:
    """Yield the tables of a report's details, the single figures first."""
    tables = {name: value for name, value in details.items() if _is_table(value)}
    figures = [
        (name.replace("_", " "), shown_value(name, value))
        for name, value in sorted(details.items())
        if name not in (*tables, _EXAMPLES) and value not in (None, [], {}, "")
    ]
    if figures:
        yield Section("Figures", ("figure", "value"), figures)
    known = [name for name in _TABLES if name in tables]
    for name in (*known, *sorted(tables.keys() - known)):
        yield _table(name, tables[name])
    for signal in tables.get("signals", ()):
        if all(signal.get(part) for part in _PARTS_OF_BINS):
            yield _bins(signal)


def example_ids(details: Details) -> Mapping[str, Sequence[str]]:
    """Return the ids of predictions that stand for a finding, by what they are examples of."""
    found = {"texts of the finding": details}
    found |= {f"texts that moved {_title(each)}": each for each in _rows(details, "signals")}
    found |= {f"texts of the topic {_title(each)}": each for each in _rows(details, "new_topics")}
    return {name: each[_EXAMPLES] for name, each in found.items() if each.get(_EXAMPLES)}


def shown_value(name: str, value: Any) -> str:
    """Return a value for people; its name says whether it is a share."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown_value(key, each)}" for key, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(shown_value(name, each) for each in value)
    is_share = name.rpartition("_")[2] in _SHARES or name.endswith("error_rate")
    if isinstance(value, int | float) and is_share:
        return percent(value)
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _rows(details: Details, name: str) -> Sequence[Details]:
    rows = details.get(name)
    return rows if isinstance(rows, list) and _is_table(rows) else ()


def _title(row: Details) -> str:
    name = "signal" if "signal" in row else "terms"
    return shown_value(name, row.get(name)).replace("_", " ")


def _table(name: str, rows: Sequence[Details]) -> Section:
    others = sorted({column for row in rows for column in row} - {_EXAMPLES, *_PARTS_OF_BINS})
    title, columns = _TABLES.get(name, (name.replace("_", " ").capitalize(), others))
    columns = [column for column in columns if any(column in row for row in rows)]
    cells = [[shown_value(column, row.get(column)) for column in columns] for row in rows]
    plotted = next((bar for bar in _BARS if bar in columns), "")
    bars = [_length(row.get(plotted)) for row in rows] if plotted else []
    return Section(title, [column.replace("_", " ") for column in columns], cells, bars)


def _bins(signal: Details) -> Section:
    """Return a signal's shares before and now, with a bar for the share now.

    Bins without an order of their own are ordered by how far they moved.
    """
    parts = zip(*(signal[part] for part in _PARTS_OF_BINS), strict=False)
    shares = [(str(name), float(before), float(now)) for name, before, now in parts]
    if signal.get("signal") not in _ORDERED:
        shares.sort(key=lambda row: -abs(row[2] - row[1]))
    rows = [(n, percent(b), percent(now), f"{100 * (now - b):+.1f}") for n, b, now in shares]
    columns = ("", "reference", "now", "points")
    bars = [_length(now) for _, _, now in shares]
    return Section(f"Shares by {_title(signal)}", columns, rows, bars)


def _length(value: Any) -> float:
    return min(max(float(value), 0.0), 1.0) if isinstance(value, int | float) else 0.0
