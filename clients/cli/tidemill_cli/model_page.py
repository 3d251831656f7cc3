"""A model version as one HTML page: its gates, confusion matrix, reliability, and classes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill_cli import html_page
from tidemill_cli.class_measures import classes_section, measures_of_confusion
from tidemill_cli.html_page import text
from tidemill_cli.output import percent
from tidemill_cli.section import Section
from tidemill_core.counted import counted

_CELL = 14
_LABEL_WIDTH = 220
_SIDE = 300
_CONFUSIONS = 20


def page(
    fields: Mapping[str, Any], gates: Sequence[Sequence[str]], results: Sequence[Mapping[str, Any]]
) -> str:
    """Return the page.

    Args:
        fields: the version's fields.
        gates: a row for each gate.
        results: the gates' results as JSON, with their details.
    """
    details = {each["gate"]: each["details"] or {} for each in results}
    columns = ("gate", "verdict", "figure", "limit", "because")
    bodies = [html_page.table(Section("Gates", columns, gates)), *_plots(details)]
    return html_page.page(f"{fields['task']}: model version {fields['version']}", fields, bodies)


def _plots(details: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for gate, title in (("classes", "Accuracy by class"), ("slices", "Accuracy by slice")):
        if parts := details.get(gate, {}).get("parts"):
            yield html_page.table(_parts(title, parts))
    if bins := details.get("calibration", {}).get("bins"):
        yield reliability_plot(bins)
    if pairs := details.get("accuracy", {}).get("confusion"):
        yield html_page.table(classes_section(measures_of_confusion(pairs)))
        yield confusion_matrix(pairs)
        yield html_page.table(confusions(pairs))


def _parts(title: str, parts: Sequence[Mapping[str, Any]]) -> Section:
    rows = [
        (
            part["name"],
            part["rows"],
            *_compared(part["champion_accuracy"], part["accuracy"]),
            percent(part["accuracy"]),
        )
        for part in parts
    ]
    columns = ("", "rows", "champion", "change", "this version")
    return Section(title, columns, rows, [part["accuracy"] for part in parts])


def _compared(before: float | None, now: float) -> tuple[str, str]:
    """Return the champion's accuracy, and the change in points; empty without a champion."""
    return ("", "") if before is None else (percent(before), f"{100 * (now - before):+.1f}")


def reliability_plot(bins: Sequence[Mapping[str, float]]) -> str:
    """Return a reliability diagram: accuracy over confidence, a point for each bin."""
    most = max(each["n"] for each in bins)
    points = "".join(
        f'<circle cx="{_SIDE * each["confidence"]:.1f}" cy="{_SIDE * (1 - each["accuracy"]):.1f}" '
        f'r="{2 + 8 * (each["n"] / most) ** 0.5:.1f}" fill="var(--bar)" fill-opacity="0.7">'
        f"<title>confidence {each['confidence']:.3f}, accuracy {each['accuracy']:.3f}, "
        f"{counted(round(each['n']), 'row')}</title></circle>"
        for each in bins
    )
    return (
        "<h2>Reliability</h2>\n<p>Accuracy (upwards) over confidence, both from 0 to 1; a "
        "point's size shows its rows. On the line, confidence is right.</p>\n"
        f'<svg class="square" viewBox="-12 -12 {_SIDE + 24} {_SIDE + 24}" role="img" '
        f'aria-label="reliability diagram"><line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0" '
        f'stroke="currentColor" stroke-dasharray="4"/>{points}</svg>\n'
    )


def confusion_matrix(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Return a matrix: a row for each true label, a column for each answer in the same order."""
    labels = sorted({pair[side] for pair in pairs for side in ("label", "answer")})
    place = {label: number for number, label in enumerate(labels)}
    totals = dict.fromkeys(labels, 0)
    for pair in pairs:
        totals[pair["label"]] += pair["rows"]
    cells = "".join(
        f'<rect x="{_LABEL_WIDTH + _CELL * place[pair["answer"]]}" '
        f'y="{_CELL * place[pair["label"]]}" width="{_CELL - 1}" height="{_CELL - 1}" '
        f'fill-opacity="{0.15 + 0.85 * pair["rows"] / totals[pair["label"]]:.2f}"><title>'
        f"{text(pair['label'])} answered {text(pair['answer'])}: {pair['rows']}</title></rect>"
        for pair in pairs
    )
    names = "".join(
        f'<text x="{_LABEL_WIDTH - 6}" y="{_CELL * place[label] + 11}" text-anchor="end" '
        f'font-size="11" fill="currentColor">{text(label)}</text>'
        for label in labels
    )
    side = _CELL * len(labels)
    return (
        "<h2>Confusion matrix</h2>\n<p>A row for each true label, and a column for each answer, "
        "in the same order. The darker, the larger the share of the row.</p>\n"
        f'<div><svg class="matrix" viewBox="0 0 {_LABEL_WIDTH + side} {side}" '
        f'style="width:{_LABEL_WIDTH + side}px" role="img" aria-label="confusion matrix">'
        f"{names}{cells}</svg></div>\n"
    )


def confusions(pairs: Sequence[Mapping[str, Any]]) -> Section:
    """Return the most frequent wrong answers."""
    wrong = [pair for pair in pairs if pair["label"] != pair["answer"]]
    wrong.sort(key=lambda pair: -pair["rows"])
    rows = [(pair["label"], pair["answer"], pair["rows"]) for pair in wrong[:_CONFUSIONS]]
    return Section("Most frequent confusions", ("label", "answered", "rows"), rows)
