"""Lists that the server returns in pages, and how commands print lists and single rows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf.message import Message

from tidemill_cli.messages import for_people, to_json
from tidemill_cli.output import print_fields, print_json, print_table

CALL_SECONDS = 30.0
_LARGEST_PAGE = 1000

Columns = Mapping[str, str | Callable[[Any], Any]]
"""The columns of a table by their titles: the name of a row's field, or a function of the row."""


def collect(
    method: Callable[..., Any],
    request: Any,
    limit: int,
    keep: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """Return rows from as many pages as needed.

    Args:
        method: the stub's method; its response has one repeated field, the rows.
        request: the request for the first page; it is changed.
        limit: the most rows to return.
        keep: the rows that count; None keeps all.
    """
    rows: list[Any] = []
    while True:
        request.page_size = min(limit - len(rows), _LARGEST_PAGE) if keep is None else _LARGEST_PAGE
        page = method(request, timeout=CALL_SECONDS)
        (field,) = (each.name for each in page.DESCRIPTOR.fields if each.is_repeated)
        rows += filter(keep, getattr(page, field))
        request.page_token = page.next_page_token
        if not request.page_token or len(rows) >= limit:
            return rows[:limit]


def print_list(rows: Iterable[Any], columns: Columns, empty: str, as_json: bool) -> None:
    """Print messages or dataclasses as a JSON list, or as a table.

    Args:
        rows: the messages or dataclasses.
        columns: the table's columns, by their titles.
        empty: the sentence to print if there are no rows.
        as_json: whether to print JSON.
    """
    if as_json:
        print_json(list(map(_plain, rows)))
        return
    cells = (
        [for_people(row, of) if isinstance(of, str) else of(row) for of in columns.values()]
        for row in rows
    )
    print_table(list(columns), cells, empty)


def print_one(row: Any, fields: Mapping[str, Any], as_json: bool) -> None:
    """Print a message, a dataclass or a dictionary as JSON, or its `fields`, one per line."""
    print_json(_plain(row)) if as_json else print_fields(fields)


def _plain(row: Any) -> Any:
    return to_json(row) if isinstance(row, Message) else row
