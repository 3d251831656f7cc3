"""Paths that Triton accepts.

Triton's Python backend starts its stubs with a line of bash that has the paths of the backends and
of the model in it, unquoted, and `LD_LIBRARY_PATH` splits at `:` and `;`.
"""

import os
import re
from pathlib import Path

from tidemill_core.errors import ConfigurationError

_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")


def plain_path(folder: Path) -> str:
    """Return a path of a folder in plain characters, which works while this process lives.

    Where the folder's own path has other characters, this is the path of an open descriptor, which
    tritonserver inherits from this process.

    Raises:
        ConfigurationError: /proc does not show the descriptor, so the path has to change.
    """
    if _PLAIN.fullmatch(str(folder)):
        return str(folder)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    os.set_inheritable(descriptor, True)
    plain = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    try:
        if plain.samefile(folder):
            return str(plain)
    except OSError:
        pass
    raise ConfigurationError(
        f"Triton cannot use the path {folder}, and {plain} cannot stand for it: move the folder to "
        "a path of ASCII letters, digits, '.', '_', '-' and '/'"
    )
