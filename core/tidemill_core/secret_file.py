"""Files with secrets, which only their owner may read."""

import contextlib
import os
import secrets
import shlex
from collections.abc import Callable
from pathlib import Path

from tidemill_core.errors import ConfigurationError


class SecretFileUnusable(ConfigurationError):
    """A file with a secret that cannot be read or written."""

    def __init__(self, path: Path, error: OSError | UnicodeError) -> None:
        if isinstance(error, OSError):
            detail = (
                f"cannot be read or written: {error.strerror}; make room on the disk, or fix the"
            )
            detail += " path or its permissions, and try again"
        else:
            detail = "is damaged: it is not text; restore it from a backup"
        super().__init__(f"{path} {detail}")


def read_or_create(path: Path, make: Callable[[], str]) -> str:
    """Return the file's content; the first caller creates it with what `make` returns.

    The file is complete or missing. If several processes try, one creates it.

    Raises:
        ConfigurationError: other users may read the file.
        SecretFileUnusable: the file cannot be read or written, or is not text.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path, make())
        is_private = not path.stat().st_mode & 0o077
        content = path.read_text() if is_private else ""
    except (OSError, UnicodeError) as error:
        raise SecretFileUnusable(path, error) from error
    if not is_private:
        quoted = shlex.quote(str(path))
        raise ConfigurationError(f"{path} may be read by others; run: chmod 600 {quoted}")
    return content


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
