"""The padding around a CSV's fields, which no reader counts as part of a field."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Any

SPACES = (
    " \t\x0b\x0c\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""What may be around a field, unless it is the delimiter: Unicode's whitespace, and spaces of no
width, such as a byte order mark within a file."""

PADDING = SPACES + (
    "\xad\u061c\u180e\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069"
)
"""What may be around a field's quotes: also other invisible characters, such as marks of the
writing direction. In a row's field without quotes, they are a part of it."""


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


def unpadded(lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """Yield all lines of a CSV without the padding around quoted fields, which may span lines."""
    held, quotes = list[str](), 0
    for line in lines:
        held.append(line)
        quotes += line.count('"')
        if quotes % 2 == 0:
            yield from without_padding(held, delimiter) if quotes else held
            held, quotes = [], 0
    yield from without_padding(held, delimiter)


def column_names(header: Iterable[str]) -> list[str]:
    """Return the names in a header without the padding around them."""
    return [name.strip(PADDING) for name in header]


def stripped(fields: Iterable[str]) -> list[str]:
    """Return a row's fields without the spaces around them."""
    return [field.strip(SPACES) for field in fields]
