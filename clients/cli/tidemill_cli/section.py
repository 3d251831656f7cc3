"""A titled table, which the terminal and HTML pages show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidemill_cli.output import bar, print_table, stdout

_BAR_WIDTH = 30


@dataclass(frozen=True)
class Section:
    """A titled table.

    Attributes:
        title: its title.
        columns: the titles of its columns.
        rows: the cells of each row.
        bars: the length of each row's bar, in [0, 1]; empty if there is nothing to plot.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    bars: Sequence[float] = ()


def print_section(section: Section) -> None:
    """Print a section, with a bar at the end of each row if it has bars."""
    stdout().print(f"\n{section.title}", style="bold")
    drawn = [(bar(length, _BAR_WIDTH),) for length in section.bars]
    rows = section.rows if not drawn else map(tuple.__add__, map(tuple, section.rows), drawn)
    columns = (*section.columns, "") if drawn else section.columns
    print_table(columns, rows, empty="none")
