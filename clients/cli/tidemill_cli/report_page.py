"""A report, and a task's overview, as one HTML page each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill_cli import html_page
from tidemill_cli.html_page import text
from tidemill_cli.messages import time_text, to_json
from tidemill_cli.report_chart import chart
from tidemill_cli.report_sections import sections
from tidemill_cli.section import Section
from tidemill_cli.task_overview import Overview, overview_sections


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
        yield chart(kind, history)
    for kind, history in overview.histories.items():
        newest = history[0]
        written = f"{newest.summary} ({time_text(newest.create_time)} UTC, {newest.report_id})"
        yield f"<h2>The newest {text(kind)} report</h2>\n<p>{text(written)}</p>\n"
        yield from map(html_page.table, sections(to_json(newest)["details"] or {}))
