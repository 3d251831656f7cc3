"""A dataset version's description as one HTML page that needs nothing else: no script, no font."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import zip_longest
from typing import Any

from tidemill_cli.dataset_description import Description, Section, sections, summary

_STYLE = """
:root { color-scheme: light dark; --bar: #2f7ebc; --line: #8884; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums }
td.plot { width: 40%; min-width: 8rem; padding-right: 0 }
svg { display: block; width: 100%; height: 1rem } rect { fill: var(--bar) }
.removed { color: #b35900 }
"""


def page(version: Description) -> str:
    """The page. All that comes from data is escaped."""
    name = f"{version['task']}: dataset version {version['dataset_version'][:12]}"
    fields = "".join(
        f"<tr><th>{escape(field)}</th><td>{escape(str(value))}</td></tr>\n"
        for field, value in summary(version).items()
        if value != ""
    )
    removed = '<p class="removed">Its rows were removed.</p>\n'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(name)}</h1>\n<table>\n{fields}</table>\n"
        f"{removed if version.get('rows_removed') else ''}"
        f"{''.join(map(_section, sections(version)))}</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    columns = [*section.columns, *([""] if section.bars else [])]
    kinds = [_kind(value) for value in section.rows[0]] if section.rows else []
    head = "".join(
        f"<th{kind}>{escape(column)}</th>"
        for column, kind in zip_longest(columns, kinds, fillvalue="")
    )
    rows = "".join(f"<tr>{row}</tr>\n" for row in _rows(section))
    return f"<h2>{escape(section.title)}</h2>\n<table>\n<tr>{head}</tr>\n{rows}</table>\n"


def _rows(section: Section) -> Iterator[str]:
    bars: Sequence[float | None] = section.bars or [None] * len(section.rows)
    for row, length in zip(section.rows, bars, strict=True):
        yield "".join(map(_cell, row)) + ("" if length is None else _bar(length))


def _cell(value: Any) -> str:
    return f"<td{_kind(value)}>{escape(str(value))}</td>"


def _kind(value: Any) -> str:
    return ' class="number"' if isinstance(value, int | float) else ""


def _bar(length: float) -> str:
    rectangle = f'<rect y="15%" width="{100 * length:.2f}%" height="70%"/>'
    return f'<td class="plot"><svg role="img" aria-label="{length:.0%}">{rectangle}</svg></td>'
