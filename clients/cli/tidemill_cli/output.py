"""What commands print: results on stdout, everything about the work itself on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

# Wide enough that a table read by a program keeps each row on one line.
_UNBOUNDED_WIDTH = 100_000
_SHOWN_CHARACTERS = 60


def stdout() -> Console:
    """The console for results. Colours only on a terminal, and not under NO_COLOR."""
    width = None if sys.stdout.isatty() else _UNBOUNDED_WIDTH
    return Console(width=width, highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())


def stderr() -> Console:
    """The console for progress, notes and errors."""
    return Console(stderr=True, highlight=False, markup=False)


def print_json(document: Any) -> None:
    """Print one JSON document."""
    # Surrogates cannot be written as UTF-8, and no other character needs an escape.
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Print rows under their columns' titles, or a sentence where there are none."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    if table.row_count:
        stdout().print(table)
    else:
        stderr().print(empty)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one thing's fields, a line each; those without a value are left out."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value not in ("", None):
            table.add_row(Text(name), value if isinstance(value, Text) else Text(str(value)))
    stdout().print(table)


def say(text: str, style: str = "") -> None:
    """Print a note about the work itself."""
    stderr().print(text, style=style, soft_wrap=True)


def complain(text: str) -> None:
    """Print why a command failed."""
    say(f"error: {text}", style="red")


def shortened(text: str) -> str:
    """A text on one line of 60 characters, for tables."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"


def percent(fraction: float) -> str:
    """A fraction for people: `93.1 %`."""
    return f"{100 * fraction:.1f} %"


def bar(fraction: float, width: int) -> str:
    """A bar of a plot: `fraction`, in [0, 1], of `width` characters, to an eighth of one."""
    eighths = round(8 * width * fraction)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
