"""Variables that come from files, as Kubernetes and systemd mount secrets."""

import os
import re
from pathlib import Path

from tidemill_core.errors import ConfigurationError

SECRETS_DIR = "TIDEMILL_SECRETS_DIR"
MAX_BYTES = 65_536
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_secret_files() -> None:
    """Set a variable of this process for each file in the folder that TIDEMILL_SECRETS_DIR names.

    A file's name is the variable, and its content without the last line break is the value. A
    variable that is set already keeps its value. Hidden files are ignored: Kubernetes makes some.

    Raises:
        ConfigurationError: the folder or a file cannot be read, a name is no variable's, or a value
            is no text of at most 64 KiB.
    """
    folder = os.environ.get(SECRETS_DIR, "")
    if not folder:
        return
    try:
        files = sorted(each for each in Path(folder).iterdir() if not each.name.startswith("."))
        for file in files:
            os.environ.setdefault(_variable(file), _value(file))
    except OSError as error:
        raise ConfigurationError(
            f"{SECRETS_DIR}: {error.filename or folder}: {error.strerror}"
        ) from error


def _variable(file: Path) -> str:
    if not _NAME.fullmatch(file.name):
        raise ConfigurationError(
            f"{SECRETS_DIR}: {file} is not named like a variable, such as TIDEMILL_DATABASE_URL"
        )
    return file.name


def _value(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES or b"\0" in content:
        raise ConfigurationError(f"{SECRETS_DIR}: {file} is no text of at most {MAX_BYTES} bytes")
    try:
        return content.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{SECRETS_DIR}: {file} is not UTF-8") from error
