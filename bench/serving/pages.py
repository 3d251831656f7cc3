"""Pages of the docs, each from a template and the results of a run."""

import sys
from pathlib import Path
from string import Template

from rich.console import Console
from rich.table import Table

from bench.serving.machine import machine

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks"
_HERE = Path(__file__).parent
_WIDTH = 150

Rows = list[tuple[str, ...]]


def write_page(name: str, module: str, **values: str) -> None:
    """Write a page of docs/benchmarks from `pages/<name>.md.template`.

    Args:
        name: the page.
        module: the module that measured; the page names it and its arguments.
        values: fill the template, beside `command` and `machine`.
    """
    template = Template((_HERE / "pages" / f"{name}.md.template").read_text(encoding="utf-8"))
    command = " ".join(["python -m", module, *sys.argv[1:]])
    DOCS.mkdir(parents=True, exist_ok=True)
    page = template.substitute(values, command=command, machine=machine())
    (DOCS / f"{name}.md").write_text(page, encoding="utf-8")


def markdown(header: tuple[str, ...], rows: Rows) -> str:
    """Return a table in Markdown; a row with a missed target is bold."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for row in rows:
        shown = [f"**{cell}**" if "SHORT" in row and cell else cell for cell in row]
        lines.append("| " + " | ".join(shown) + " |")
    return "\n".join(lines)


def print_table(header: tuple[str, ...], rows: Rows, console: Console | None = None) -> None:
    """Print a table; a row with a missed target is red."""
    console = console or Console()
    table = Table(*header)
    for row in rows:
        table.add_row(*row, style="red" if "SHORT" in row else None)
    Console(file=console.file, width=max(console.width, _WIDTH)).print(table)
