"""Lists that the server gives in pages: how they are fetched, and how they are printed."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import typer
from google.protobuf.message import Message

from tidemill_cli.messages import for_people, to_json
from tidemill_cli.output import print_fields, print_json, print_table

CALL_SECONDS = 30.0
_LARGEST_PAGE = 1000

Columns = Mapping[str, str | Callable[[Any], Any]]
"""What stands in each column of a table, by its title: a field of the message, by its name, or
what a function makes of the message."""

Limit = Annotated[int, typer.Option(min=1, help="How many to show, newest first.")]


def collect(
    method: Callable[..., Any],
    request: Any,
    limit: int,
    keep: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """Fetch rows from as many pages as it takes.

    Args:
        method: the stub's method; its answer has one repeated field, the rows.
        request: asks for the first page; it is changed.
        limit: rows at most.
        keep: which rows count; None takes all.
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


def print_list(messages: Iterable[Message], columns: Columns, empty: str, as_json: bool) -> None:
    """Print messages as a JSON list, or as a table.

    Args:
        messages: the rows.
        columns: what stands in each column, by the column's title.
        empty: what to say if there are no messages.
        as_json: whether to print JSON.
    """
    if as_json:
        print_json([to_json(message) for message in messages])
        return
    rows = (
        [for_people(message, of) if isinstance(of, str) else of(message) for of in columns.values()]
        for message in messages
    )
    print_table(list(columns), rows, empty)


def print_one(message: Message, fields: Mapping[str, Any], as_json: bool) -> None:
    """Print one message as a JSON object, or fields of it a line each."""
    print_json(to_json(message)) if as_json else print_fields(fields)
