"""Paths and URLs of rows, which the jobs' machine reads and writes."""

import re
from pathlib import Path
from typing import Annotated

import typer

from tidemill_cli.failure import WrongUsage

_RELATIVE_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)(.+)", re.DOTALL)
_NOT_A_PATH = re.compile(r"env:|[a-zA-Z][a-zA-Z0-9+.:-]*://")

TextColumn = Annotated[str, typer.Option(metavar="NAME", help="The column with the text.")]
LabelColumn = Annotated[str, typer.Option(metavar="NAME", help="The column with the right label.")]
ModelVersion = Annotated[
    int, typer.Option(min=0, help="The version that answers; 0 is the champion.")
]
Follow = Annotated[bool, typer.Option(help="Wait until it ends, and show its progress.")]


def absolute(place: str) -> str:
    """Return a path, also that of a SQLite, in full, because the jobs run in another folder.

    Other URLs stay as they are.

    Raises:
        WrongUsage: a SQLite's folder has a character that ends the path in a URL.
    """
    if sqlite := _RELATIVE_SQLITE.match(place):
        name, mark, rows = sqlite[2].partition("#")
        full = str(Path(name).expanduser().absolute())
        if "#" in full:
            raise WrongUsage(f"{full} has a #, which ends a path in a URL: use another folder")
        return f"{sqlite[1]}{full}{mark}{rows}"
    if _NOT_A_PATH.match(place):
        return place
    return str(Path(place).expanduser().absolute())
