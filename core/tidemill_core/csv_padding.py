"""The padding around a CSV's fields, which no reader counts as part of a field."""

import csv
import re
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

PADDING = " \t\N{NO-BREAK SPACE}"
"""What may stand around a field, unless it is the delimiter."""


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
