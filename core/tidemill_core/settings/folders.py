"""The folders that a workspace uses, and their URLs."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

_LONGEST_PATH = 480
"""In bytes. SQLite cannot open a path of more than 512 bytes, its own suffixes included."""


def _named(path: object) -> object:
    """Return a path's text; an empty one would be the folder in which a process starts."""
    if path == "":
        raise ValueError("must not be empty")
    return path


NamedPath = Annotated[Path, BeforeValidator(_named)]
"""A path that is not empty."""


def absolute_folder(path: Path) -> Path:
    """Return a folder's absolute path, with `~` expanded.

    Raises:
        ValueError: the path cannot be used; says why and what to do.
    """
    folder = path.expanduser().absolute()
    written = os.fsencode(folder)
    if written.decode(errors="replace") != str(folder):
        raise ValueError(f"the path {str(folder)!a} is not UTF-8: choose another folder")
    if len(written) > _LONGEST_PATH:
        rule = f"has {len(written)} bytes, and SQLite opens files up to {_LONGEST_PATH}"
        raise ValueError(f"the path {folder} {rule}: choose a folder with a shorter path")
    return folder


def storage_url(url: str) -> str:
    """Return the URL of object storage, without a slash at its end; it may be empty.

    Raises:
        ValueError: it is not a URL, or has a user, a password or parameters.
    """
    folder = url.rstrip("/")
    if url and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^@?#]+", folder):
        rule = "must be a URL such as s3://bucket/folder, without a user, password or parameters"
        raise ValueError(f"{rule}; credentials come from the environment (AWS_ACCESS_KEY_ID)")
    return folder


def sqlite_url(database: Path, scheme: str = "sqlite") -> str:
    """Return the URL of a SQLite database."""
    # The import is slow, and most commands need no database.
    from sqlalchemy import URL

    return URL.create(scheme, database=str(database)).render_as_string()
