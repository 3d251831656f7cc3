"""The padding around a CSV's fields, which no reader counts as part of a field."""

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

PADDING = (
    " \t\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u200b"
    "\u202f\u205f\u2060\u3000\ufeff"
)
"""The spaces that may be around a field, unless they are the delimiter: those of Unicode, the tab,
and the invisible ones, such as a byte order mark within a file."""


def csv_reader(lines: Iterable[str], delimiter: str, strict: bool = True) -> Any:
    """Return a csv reader that skips the spaces before a field."""
    return csv.reader(lines, delimiter=delimiter, strict=strict, skipinitialspace=delimiter != " ")


def without_padding(lines: Sequence[str], delimiter: str) -> list[str]:
    """Return the lines without the padding around quotes."""
    padding, sign = re.escape(PADDING.replace(delimiter, "")), re.escape(delimiter)
    quoted = re.compile(
        rf'(\A|(?<=[\r\n])|{sign})[{padding}]*("(?:[^"]++|"")*+")[{padding}]*(?=[{sign}\r\n]|\Z)'
    )
    return list(StringIO(quoted.sub(r"\1\2", "".join(lines)), newline=""))
