"""Secrets in files that only their owner may read."""

import contextlib
import os
import secrets
import shlex
from collections.abc import Callable
from pathlib import Path

from tidemill_core.errors import ConfigurationError


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """The file's content; the first caller writes what `make` returns.

    The file is whole or not there, and of several processes that try, one makes it.

    Raises:
        ConfigurationError: others may read the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _create(path, make())
    if path.stat().st_mode & 0o077:
        quoted = shlex.quote(str(path))
        raise ConfigurationError(f"{path} may be read by others; run: chmod 600 {quoted}")
    return path.read_text()


def _create(path: Path, content: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
