"""Checks of the folders that a workspace uses."""

import os
from pathlib import Path

_LONGEST_PATH = 480
"""In bytes. SQLite cannot open a path of more than 512 bytes, its own suffixes included."""


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
