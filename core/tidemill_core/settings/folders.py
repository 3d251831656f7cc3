"""Which folders a workspace can use."""

import os
from pathlib import Path

_LONGEST_PATH = 480
"""In bytes. SQLite opens no file whose path has more than 512, its own suffixes included."""


def absolute_folder(path: Path) -> Path:
    """Return the folder's absolute path, `~` filled in.

    Raises:
        ValueError: nothing can be kept there; says why, and what to do.
    """
    folder = path.expanduser().absolute()
    written = os.fsencode(folder)
    if written.decode(errors="replace") != str(folder):
        raise ValueError(f"the path {str(folder)!a} is not UTF-8: choose another folder")
    if len(written) > _LONGEST_PATH:
        rule = f"has {len(written)} bytes, and SQLite opens files up to {_LONGEST_PATH}"
        raise ValueError(f"the path {folder} {rule}: choose a folder with a shorter path")
    return folder
