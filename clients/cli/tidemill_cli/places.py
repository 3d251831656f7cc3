"""Paths and URLs of rows, which the jobs' machine reads and writes."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote

import typer

from tidemill_cli.options import LARGEST

_RELATIVE_SQLITE = re.compile(
    r"(sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)([^?#]+)([?#].*|)", re.DOTALL
)
_PLAIN_IN_PATHS = " !$&'()*+,/:;=@[]~"
"""Characters of a path that need no escape in a URL of SQLAlchemy, for people to read."""
_NOT_A_PATH = re.compile(r"env:|[a-zA-Z][a-zA-Z0-9+.:-]*://")

TextColumn = Annotated[str, typer.Option(metavar="NAME", help="The column with the text.")]
LabelColumn = Annotated[str, typer.Option(metavar="NAME", help="The column with the right label.")]
ModelVersion = Annotated[
    int, typer.Option(min=0, max=LARGEST, help="The version that answers; 0 is the champion.")
]
Follow = Annotated[bool, typer.Option(help="Wait until it ends, and show its progress.")]


def absolute(place: str) -> str:
    """Return a path, also that of a SQLite, in full, because the jobs run in another folder.

    Other URLs stay as they are.
    """
    if sqlite := _RELATIVE_SQLITE.fullmatch(place):
        scheme, name, rest = sqlite.groups()
        full = Path(unquote(name)).expanduser().absolute()
        return f"{scheme}{quote(str(full), safe=_PLAIN_IN_PATHS)}{rest}"
    if _NOT_A_PATH.match(place):
        return place
    return str(Path(place).expanduser().absolute())
