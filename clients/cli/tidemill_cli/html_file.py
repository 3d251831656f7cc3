"""The option `--html`: a page that a command writes."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tidemill_cli.dataset_files import require_suffix, write_whole
from tidemill_cli.failure import CannotWrite
from tidemill_cli.output import say


def require_page(target: Path | None) -> Path | None:
    """Require that a page can be written, before the work for it begins; leave nothing behind.

    Raises:
        WrongUsage: its name has another suffix.
        CannotWrite: there is a folder with its name, or its folder is missing or read-only.
    """
    if target is None:
        return None
    require_suffix(target, (".html", ".htm"))
    try:
        if target.is_dir():
            raise IsADirectoryError(21, "it is a folder")
        with tempfile.TemporaryFile(dir=target.absolute().parent):
            return target
    except OSError as error:
        raise CannotWrite(target, error) from error


def write_page(target: Path, content: str) -> None:
    """Write a page, completely or not at all, and say where.

    Raises:
        CannotWrite: it cannot be written; no part of it is left.
    """
    write_whole(target.absolute(), lambda staged: staged.write_bytes(content.encode()))
    say(f"written to {target}")


Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", callback=require_page, help="Write a page with plots to this file."
    ),
]
