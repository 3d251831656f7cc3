"""Printed results, on stdout, and notes about the work itself, on stderr.

Texts, names and messages that others wrote pass through `shown` before a terminal gets them.
"""

import codecs
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidemill_core.shown import UNSAFE, shown, shown_lines

# Keeps each row of a table on one line where a program reads it.
_UNBOUNDED_WIDTH = 100_000
# Only prose is folded, and not into narrower columns: ids and names stay whole, so a table may
# be wider than its terminal.
_LONGEST_WORD = 64
_NARROWEST_PROSE = 24
_SHOWN_CHARACTERS = 60
_HEIGHTS = "▁▂▃▄▅▆▇█"
_ASCII = str.maketrans(
    {"…": "...", "→": "->", "·": "-", "─": "-", **dict.fromkeys("▏▎▍▌▋▊▉", "")}
    | dict(zip(_HEIGHTS, "_.-:=+*#", strict=True))
)


def adapt_to_terminal(*streams: TextIO) -> None:
    """Let streams print ASCII in place of characters that they cannot encode."""
    codecs.register_error("tidemill", _in_ascii)
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="tidemill")


def _in_ascii(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_ASCII)
    return text.encode("ascii", "backslashreplace").decode(), error.end


def stdout() -> Console:
    """Return the console for results. It has colors only on a terminal, and not under NO_COLOR."""
    width = None if sys.stdout.isatty() else _UNBOUNDED_WIDTH
    return Console(
        width=width, highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty()
    )


def stderr() -> Console:
    """Return the console for progress, notes and errors."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_json(document: Any, indent: int | None = 2) -> None:
    """Print one JSON document; without an indent on one line."""
    in_ascii = not (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(document, indent=indent, ensure_ascii=in_ascii, default=plain)
    # The escapes of JSON itself, so that a program reads what was written.
    escaped = re.sub(r"(?!\n)" + UNSAFE.pattern, lambda match: json.dumps(match[0])[1:-1], text)
    sys.stdout.write(escaped + "\n")
    sys.stdout.flush()


def plain(value: Any) -> Any:
    """Return a value in a form that JSON has: a moment in ISO 8601, a set as a sorted list."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if isinstance(value, datetime) else sorted(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Print rows under the titles of their columns, or the sentence `empty` if there are none."""
    cells = [list(map(_cell, row)) for row in rows]
    if not cells:
        say(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    width = 0
    for title, *column in zip(map(_cell, columns), *cells, strict=True):
        folds = not title.plain.endswith("(UTC)") and any(map(_is_prose, column))
        widest = max(line.cell_len for cell in (title, *column) for line in cell.split("\n"))
        width += 2 + (min(widest, _NARROWEST_PROSE) if folds else widest)
        table.add_column(title, overflow="fold", no_wrap=not folds)
    for row in cells:
        table.add_row(*row)
    _print_whole(table, width)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print fields, one per line, without those that have no value."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value not in ("", None, []):
            table.add_row(_cell(name), _cell(value))
    _print_whole(table)


def _is_prose(cell: Text) -> bool:
    return " " in cell.plain or len(cell.plain) > _LONGEST_WORD


def _print_whole(table: Table, width: int = 0) -> None:
    """Print a table, at least as wide as `width`, without spaces at the ends of its lines."""
    console = stdout()
    options = console.options.update(width=max(console.width, width))
    for line in console.render_lines(table, options, pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def say(text: str, style: str = "") -> None:
    """Print a note about the work itself."""
    stderr().print(Text(shown_lines(text), style), soft_wrap=True)


def complain(text: str) -> None:
    """Print why a command failed."""
    say(f"error: {text}", style="red")


def shortened(text: str) -> str:
    """Return a text on one line of 60 characters, for tables."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"


def percent(fraction: float) -> str:
    """Return a fraction for people: `93.1 %`."""
    return f"{100 * fraction:.1f} %"


def bar(fraction: float, width: int) -> str:
    """Return a bar of a plot: `fraction`, in [0, 1], of `width` characters, in eighths of one."""
    eighths = round(8 * width * fraction)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def sparkline(values: Sequence[float]) -> str:
    """Return a line of characters, as high as the values, from the lowest to the highest."""
    low, span = min(values, default=0.0), max(values, default=0.0) - min(values, default=0.0)
    highest = len(_HEIGHTS) - 1
    return "".join(
        _HEIGHTS[round(highest * (value - low) / span) if span else highest // 2]
        for value in values
    )


def _cell(value: Any) -> Text:
    """Return a value as a cell; a list gets one line for each value."""
    if isinstance(value, Text):
        return value
    lines = value if isinstance(value, list) else [value]
    return Text("\n".join(shown(str(line)) for line in lines))
