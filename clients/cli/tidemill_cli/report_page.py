"""A report, and a task's overview, as one HTML page each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill_cli import html_page
from tidemill_cli.html_page import text
from tidemill_cli.messages import time_text, to_json
from tidemill_cli.report_sections import sections
from tidemill_cli.section import Section
from tidemill_cli.task_overview import History, Overview, figures, overview_sections

_WIDTH, _HEIGHT, _MARGIN = 600, 120, 6
_NAMES = {
    "accuracy": "Accuracy",
    "drift": "Largest drift distance",
    "latency": "p99 latency in ms",
}
_LIMITS = {"latency": "max_p99_latency_ms", "accuracy": "baseline_accuracy"}


def page_of_report(fields: Mapping[str, Any], tables: Sequence[Section]) -> str:
    """Return the page of one report: its fields and tables."""
    title = f"{fields['task']}: {fields['kind']} report"
    return html_page.page(title, fields, map(html_page.table, tables))


def page_of_task(overview: Overview) -> str:
    """Return the page of a task: its overview, its figures over time, and its newest reports."""
    return html_page.page(f"{overview.task}: how good it is", {}, _bodies(overview))


def _bodies(overview: Overview) -> Iterator[str]:
    yield from map(html_page.table, overview_sections(overview))
    for kind, history in overview.histories.items():
        yield _chart(kind, history)
    for kind, history in overview.histories.items():
        newest = history[0]
        written = f"{newest.summary} ({time_text(newest.create_time)} UTC, {newest.report_id})"
        yield f"<h2>The newest {text(kind)} report</h2>\n<p>{text(written)}</p>\n"
        yield from map(html_page.table, sections(to_json(newest)["details"] or {}))


def _chart(kind: str, history: History) -> str:
    """Return a line of the kind's figure over its reports, with a dashed line for the limit."""
    points = figures(history)
    if len(points) < 2:
        return ""
    values = [value for _, value in points]
    limit = (to_json(history[0])["details"] or {}).get(_LIMITS.get(kind, ""))
    shown = values if limit is None else [*values, float(limit)]
    low, high = min(shown), max(shown)
    first, last = (points[end][0].create_time.ToNanoseconds() for end in (0, -1))

    def y(value: float) -> float:
        return _HEIGHT - (_HEIGHT * (value - low) / (high - low) if high > low else _HEIGHT / 2)

    places = " ".join(
        f"{_WIDTH * (each.create_time.ToNanoseconds() - first) / max(last - first, 1):.1f},"
        f"{y(value):.1f}"
        for each, value in points
    )
    dashed = (
        ""
        if limit is None
        else (
            f'<line x1="0" y1="{y(float(limit)):.1f}" x2="{_WIDTH}" y2="{y(float(limit)):.1f}" '
            'stroke="currentColor" stroke-dasharray="4"/>'
        )
    )
    title = f"{_NAMES[kind]}, {time_text(points[0][0].create_time)} to "
    title += f"{time_text(points[-1][0].create_time)} UTC"
    about = f"lowest {low:.3g}, highest {high:.3g}, now {values[-1]:.3g}"
    about += "" if limit is None else f"; dashed: {_LIMITS[kind].replace('_', ' ')}, {limit:.3g}"
    return (
        f'<h2>{text(title)}</h2>\n<svg class="matrix" viewBox="-{_MARGIN} -{_MARGIN} '
        f'{_WIDTH + 2 * _MARGIN} {_HEIGHT + 2 * _MARGIN}" role="img" aria-label="{text(about)}">'
        f'{dashed}<polyline points="{places}" fill="none" stroke="var(--bar)" stroke-width="2"/>'
        f"</svg>\n<p>{text(about)}</p>\n"
    )
