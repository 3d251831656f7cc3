"""The check of a file of examples before a workspace is created for it."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from tidemill_cli.example_file import format_of, text_lines
from tidemill_cli.failure import CannotRead, WrongUsage
from tidemill_cli.local import require_extras
from tidemill_cli.output import shortened
from tidemill_core.counted import counted
from tidemill_core.csv_formulas import FORMULA
from tidemill_core.csv_padding import column_names, csv_reader, stripped, unpadded
from tidemill_core.domain.split import content_hash
from tidemill_core.settings import FilesSource

_LARGEST_FIELD = 1_000_000
_DELIMITERS = {",": ",", ";": ";", "\t": "\\t", "|": "|"}

Values = tuple[Any, Any]
"""A row's text and label."""


@dataclass(frozen=True)
class Summary:
    """A summary of a file of examples.

    Attributes:
        rows: the number of rows with a text and a label.
        labels: the number of different labels.
        first_text: the first text.
        others: the number of rows that have no text or no label, or cannot be read.
    """

    rows: int
    labels: int
    first_text: str
    others: int


def check_examples(path: Path, source: FilesSource, encoding: str) -> Summary:
    """Check that a model can learn from a file.

    Args:
        path: the file.
        source: the settings for reading it.
        encoding: the encoding of a text file.

    Raises:
        WrongUsage: the file does not have this format, a column is missing, or there are fewer
            than 2 labels.
        ExtrasMissing: the packages that read this format are not installed.
    """
    if not source.label_column:
        raise WrongUsage("--label-column '': name the column with the labels")
    if source.text_column == source.label_column:
        raise WrongUsage(f"--text-column and --label-column both name {source.text_column!r}")
    reader = _READERS[format_of(path, source.format)]
    count, others, labels, first_text = 0, 0, set[str](), ""
    for text, label in reader(path, source, encoding):
        word = _word(label)
        if not isinstance(text, str) or not text.strip() or not word:
            others += 1
            continue
        count += 1
        labels.add(word)
        first_text = first_text or text.strip()
    if not count:
        rule = "a label is text, a whole number or a boolean"
        raise WrongUsage(f"{path} has no row with a text and a label; {rule}")
    if len(labels) < 2:
        raise WrongUsage(
            f"{path}: {min(labels)!r} is the only label in {source.label_column!r}, in {count} of "
            f"{counted(count + others, 'row')}: a classifier needs at least 2 labels"
        )
    return Summary(count, len(labels), first_text, others)


def _word(label: object) -> str:
    """Return a label as the source will read it; empty if it is missing or has the wrong type."""
    if isinstance(label, bool):
        return str(label).lower()
    is_word = isinstance(label, str | int) or (isinstance(label, Decimal) and label % 1 == 0)
    return _cleaned(str(label)) if is_word else ""


@lru_cache(maxsize=10_000)
def _cleaned(label: str) -> str:
    """Return a label in the form that builds give it; empty if they quarantine it."""
    if label.isascii() and label.isprintable():
        return " ".join(label.split())
    require_extras()
    from tidemill_core.text import control_character, is_blank
    from tidemill_core.text_repair import repair

    word = repair(label)
    return "" if is_blank(word) or control_character(word) is not None else word


def _csv_values(path: Path, source: FilesSource, encoding: str) -> Iterator[Values]:
    csv.field_size_limit(_LARGEST_FIELD)
    delimiter = source.delimiter or ("\t" if ".tsv" in path.name.lower() else ",")
    reader = csv_reader(unpadded(text_lines(path, encoding), delimiter), delimiter)
    begin = 1
    try:
        columns = column_names(next(filter(None, reader), []))
        if not any(columns):
            raise WrongUsage(f"{path} is empty")
        places = [
            _place(path, columns, name, option, delimiter) for name, option in _wanted(source)
        ]
        begin = reader.line_num + 1
        for row in reader:
            if len(row) == len(columns):
                fields = stripped(row)
                text, label = fields[places[0]], fields[places[1]]
                if "text_hash" in columns:
                    _check_export(path, text, label, fields[columns.index("text_hash")])
                yield text, label
            elif row:
                yield None, None
            begin = reader.line_num + 1
    except csv.Error as error:
        raise WrongUsage(
            f"{path}, line {begin}: the quotes of the row that begins there are broken ({error}): "
            "fix them, or name the delimiter with --delimiter, or another format with --format"
        ) from error


def _check_export(path: Path, text: str, label: str, text_hash: str) -> None:
    """Refuse a file that `tidemill datasets export` changed for spreadsheets.

    Raises:
        WrongUsage: the export put an apostrophe in front of the text or the label.
    """
    is_changed = text.startswith("'") and content_hash(text[1:]) == text_hash
    if is_changed or (label.startswith("'") and re.match(FORMULA, label)):
        raise WrongUsage(
            f"{path} is an export for spreadsheets, with a ' in front of cells that look like "
            "formulas: export it with --raw, or as .jsonl or .parquet"
        )


def _json_values(path: Path, source: FilesSource, encoding: str) -> Iterator[Values]:
    seen: dict[str, None] = {}
    for number, line in enumerate(text_lines(path, encoding), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            # The parser's own line is always 1 or 2, and a setting of Python helps no one.
            problem = str(error).partition(": line ")[0].partition("; use sys.")[0]
            raise WrongUsage(f"{path}, line {number}: not JSON: {problem}") from error
        if not isinstance(row, dict):
            raise WrongUsage(f"{path}, line {number}: not a JSON object")
        seen |= dict.fromkeys(row)
        yield row.get(source.text_column), row.get(source.label_column)
    for name, option in _wanted(source) if seen else ():
        _place(path, list(seen), name, option)


def _parquet_values(path: Path, source: FilesSource, encoding: str) -> Iterator[Values]:
    del encoding  # Parquet has none
    require_extras()
    import pyarrow as pa  # polars crashes on time zones such as +05:30
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as parquet:
            columns = parquet.schema_arrow.names
            for name, option in _wanted(source):
                _place(path, columns, name, option)
            names = [source.text_column, source.label_column]
            for batch in parquet.iter_batches(columns=names):
                yield from zip(*(batch[name].to_pylist() for name in names), strict=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CannotRead(path, error) from error


_READERS: dict[str, Callable[[Path, FilesSource, str], Iterator[Values]]] = {
    "csv": _csv_values,
    "jsonl": _json_values,
    "parquet": _parquet_values,
}


def _wanted(source: FilesSource) -> Iterable[tuple[str, str]]:
    """Return the columns to read, each with the option that sets it."""
    return (source.text_column, "--text-column"), (source.label_column, "--label-column")


def _place(path: Path, columns: list[str], name: str, option: str, delimiter: str = "") -> int:
    """Return the index of a column.

    Raises:
        WrongUsage: the column does not exist, or there are several with this name.
    """
    if columns.count(name) == 1:
        return columns.index(name)
    if name in columns:
        raise WrongUsage(f"{path} has several columns {name!r}: rename the others")
    signs = [
        shown for sign, shown in _DELIMITERS.items() if sign != delimiter and sign in columns[0]
    ]
    if delimiter and len(columns) == 1 and signs:
        raise WrongUsage(
            f"{path} has one column, {shortened(columns[0])!r}: name the character between its "
            f"columns, as in --delimiter '{signs[0]}'"
        )
    others = ", or the character between its columns with --delimiter"
    raise WrongUsage(
        f"{path} has no column {name!r}: name one with {option}"
        f"{others if delimiter and len(columns) == 1 else ''}; "
        f"its columns are {', '.join(map(shortened, columns))}"
    )
