"""Pages without scripts, fonts or other files. All values from data are escaped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import zip_longest
from typing import Any

from tidemill_cli.section import Section
from tidemill_core.shown import shown

_STYLE = """
:root { color-scheme: light dark; --bar: #2f7ebc; --line: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; overflow-wrap: anywhere } h2 { font-size: 1.05rem; margin-top: 2rem }
div { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word }
td:first-child { max-width: 18rem } .fields td { overflow-wrap: anywhere }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; width: 3.5rem }
th.plot, td.plot { width: 30%; min-width: 5rem; padding-right: 0; font-weight: normal }
svg { display: block; width: 100%; height: 1rem; background: var(--line) } rect { fill: var(--bar) }
svg.square { width: 20rem; max-width: 100%; height: auto }
svg.matrix { height: auto; max-width: none; background: none }
summary { cursor: pointer; padding: .4rem 0 } .removed { color: #b35900 }
@media (max-width: 40rem) {
  body { margin: 1rem auto; font-size: 14px } th, td { padding-right: .5rem }
  td:first-child { max-width: 10rem }
  .number ~ .number ~ .number ~ .number ~ .plot { display: none }
}
"""
_UNFOLDED = 20


def page(title: str, fields: Mapping[str, Any], bodies: Iterable[str]) -> str:
    """Return a page.

    Args:
        title: its title.
        fields: the first table, of names and values; an empty value is left out.
        bodies: what follows, as HTML.
    """
    rows = "".join(
        f"<tr><th>{text(field)}</th><td>{text(value)}</td></tr>\n"
        for field, value in fields.items()
        if value != ""
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<h1>{text(title)}</h1>\n<table class="fields">\n{rows}</table>\n'
        f"{''.join(bodies)}</body>\n</html>\n"
    )


def table(section: Section) -> str:
    """Return a section as HTML; all but the first rows of a long one are folded."""
    kinds = [_kind(value) for value in section.rows[0]] if section.rows else []
    head = "".join(
        f"<th{kind}>{text(column)}</th>"
        for column, kind in zip_longest(section.columns, kinds, fillvalue="")
    )
    head += '<th class="plot">0 to 100 %</th>' if section.bars else ""
    rows = list(_rows(section))
    first, others = rows[:_UNFOLDED], rows[_UNFOLDED:]
    folded = (
        f"<details><summary>{len(others)} more</summary>{_rows_of_table(head, others)}</details>\n"
    )
    return (
        f"<h2>{text(section.title)}</h2>\n{_rows_of_table(head, first)}{folded if others else ''}"
    )


def _rows_of_table(head: str, rows: Sequence[str]) -> str:
    return f"<div><table>\n<tr>{head}</tr>\n{''.join(rows)}</table></div>\n"


def _rows(section: Section) -> Iterator[str]:
    bars: Sequence[float | None] = section.bars or [None] * len(section.rows)
    for row, length in zip(section.rows, bars, strict=True):
        cells = "".join(f"<td{_kind(value)}>{text(value)}</td>" for value in row)
        yield f"<tr>{cells}{'' if length is None else _bar(length)}</tr>\n"


def _kind(value: Any) -> str:
    is_number = isinstance(value, int | float) or str(value).endswith(" %")
    return ' class="number"' if is_number else ""


def text(value: Any) -> str:
    """Return a value as escaped text."""
    return escape(shown(str(value)))


def _bar(length: float) -> str:
    rectangle = f'<rect y="15%" width="{100 * length:.2f}%" height="70%"/>'
    return f'<td class="plot"><svg role="img" aria-label="{length:.0%}">{rectangle}</svg></td>'
