"""The option `--html`: a page that a command writes."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tidemill_cli.dataset_files import require_suffix, require_writable, write_whole
from tidemill_cli.failure import CannotWrite
from tidemill_cli.output import print_json, say


def require_page(target: Path | None) -> Path | None:
    """Require that a page can be written, before the work for it begins; leave nothing behind.

    Raises:
        WrongUsage: its name has another suffix.
        CannotWrite: there is a folder with its name, or its folder is missing or read-only.
    """
    if target is not None:
        require_suffix(target, (".html", ".htm"))
        require_writable(target)
    return target


def write_page(target: Path, content: str) -> None:
    """Write a page, completely or not at all, and say where.

    Raises:
        CannotWrite: it cannot be written; no part of it is left.
    """
    write_whole(target.absolute(), lambda staged: staged.write_bytes(content.encode()))
    say(f"written to {target}")


def show_found(
    document: object,
    print_it: Callable[[], None],
    page: Callable[[], str],
    html: Path | None,
    as_json: bool,
) -> None:
    """Show what a command found: as a page, as JSON, or else in the terminal.

    Args:
        document: what was found, for programs.
        print_it: prints it for people.
        page: returns its page.
        html: the page's file; None if no page is wanted.
        as_json: whether programs read it.

    Raises:
        CannotWrite: the page cannot be written; what was found is printed first.
    """
    failed: CannotWrite | None = None
    if html is not None:
        try:
            write_page(html, page())
        except CannotWrite as error:
            failed = error
    if as_json:
        print_json(document)
    elif html is None or failed is not None:
        print_it()
    if failed is not None:
        raise failed


Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", callback=require_page, help="Write a page with plots to this file."
    ),
]
