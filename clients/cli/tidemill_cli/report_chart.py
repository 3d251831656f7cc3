"""A figure of a task's reports over time, as a plot in a page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill_cli.html_page import text
from tidemill_cli.messages import time_text, to_json
from tidemill_cli.task_overview import History, figures

_WIDTH, _HEIGHT, _MARGIN = 600, 120, 6
_NAMES = {
    "accuracy": "Accuracy",
    "drift": "Largest drift distance",
    "latency": "p99 latency in ms",
}


@dataclass(frozen=True)
class _Point:
    """A report's figure, with the ends of its interval, or itself twice, at a share of the time."""

    place: float
    value: float
    low: float
    high: float


def chart(kind: str, history: History) -> str:
    """Return a line of the kind's figure, its interval, and a dashed line for the limit.

    It is empty with fewer than two reports that have the figure.
    """
    points = list(_points(history))
    if len(points) < 2:
        return ""
    limit = limit_of(kind, to_json(history[0])["details"] or {})
    values = [end for point in points for end in (point.low, point.high)]
    about = f"lowest {min(values):.3g}, highest {max(values):.3g}, now {points[-1].value:.3g}"
    if limit is not None:
        values.append(limit)
        about += f"; dashed: an alert's limit, {limit:.3g}"
    known = [report for report, _ in figures(history)]
    times = " to ".join(time_text(known[end].create_time) for end in (0, -1))
    return (
        f"<h2>{text(f'{_NAMES[kind]}, {times} UTC')}</h2>\n"
        f'<svg class="matrix" viewBox="-{_MARGIN} -{_MARGIN} {_WIDTH + 2 * _MARGIN} '
        f'{_HEIGHT + 2 * _MARGIN}" role="img" aria-label="{text(about)}">'
        f"{_lines(points, limit, min(values), max(values))}</svg>\n<p>{text(about)}</p>\n"
    )


def limit_of(kind: str, details: Mapping[str, Any]) -> float | None:
    """Return the value from which the figure is an alert; None if the report has none."""
    if kind == "latency":
        return details.get("max_p99_latency_ms")
    baseline, drop = details.get("baseline_accuracy"), details.get("max_accuracy_drop")
    return None if baseline is None or drop is None else baseline - drop


def _points(history: History) -> Iterator[_Point]:
    known = figures(history)
    times = [report.create_time.ToNanoseconds() for report, _ in known]
    for (report, value), time in zip(known, times, strict=True):
        details = to_json(report)["details"] or {}
        ends = (details.get(f"accuracy_{end}") for end in ("low", "high"))
        low, high = (value if end is None else float(end) for end in ends)
        yield _Point((time - times[0]) / max(times[-1] - times[0], 1), value, low, high)


def _lines(points: list[_Point], limit: float | None, low: float, high: float) -> str:
    def y(value: float) -> str:
        return f"{_HEIGHT * ((high - value) / (high - low) if high > low else 0.5):.1f}"

    def line(part: str, backwards: bool = False) -> str:
        ordered = points[::-1] if backwards else points
        return " ".join(f"{_WIDTH * p.place:.1f},{y(getattr(p, part))}" for p in ordered)

    band = f"{line('low')} {line('high', backwards=True)}"
    drawn = f'<polygon points="{band}" fill="var(--bar)" fill-opacity="0.2"/>'
    if limit is not None:
        ends = f'x1="0" y1="{y(limit)}" x2="{_WIDTH}" y2="{y(limit)}"'
        drawn += f'<line {ends} stroke="currentColor" stroke-dasharray="4"/>'
    stroke = 'fill="none" stroke="var(--bar)" stroke-width="2"'
    return f'{drawn}<polyline points="{line("value")}" {stroke}/>'
