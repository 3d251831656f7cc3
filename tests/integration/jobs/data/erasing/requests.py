"""Requests to erase a text, and searches for what is left of it."""

from pathlib import Path

import polars as pl

from tests.integration.jobs.conftest import NOW
from tidemill_core.domain.split import content_hash
from tidemill_jobs.context import JobContext

NAMED = "I am Ann Example"
ROWS = f'text,label\n{NAMED},a\nx,a\ny,b\n"i  AM ann example",b\n{NAMED},\n'


def ask(context: JobContext, text: str = NAMED) -> None:
    """Request the erasure of a text."""
    context.storage.erasures.request(context.task, content_hash(text), "ann", NOW)


def left_over(folder: Path, text: str = "ann example") -> list[Path]:
    """Return the files below a folder that still have the text, with Parquet decoded."""
    found = []
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            content = str(pl.read_parquet(path).to_dicts())
        else:
            content = path.read_bytes().decode(errors="ignore") if path.is_file() else ""
        if text in content.lower():
            found.append(path)
    return found
