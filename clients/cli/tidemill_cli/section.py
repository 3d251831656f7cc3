"""A titled table, which the terminal and HTML pages show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


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
