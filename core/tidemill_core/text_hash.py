"""Keyed hashes that stand for texts which must not be stored.

HMAC-SHA256 and not SHA-256 alone: texts are short and alike, so whoever could read plain hashes
could guess what they stand for. The key lies in a file of the state directory, for its owner
alone; without it hashes can neither be guessed nor compared.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from tidemill_core.errors import ConfigurationError
from tidemill_core.secret_file import read_or_create

KEY_FILE = "text_hash_key"
_KEY_BYTES = 32


def load_text_key(state_dir: Path) -> bytes:
    """The key of a state directory; the first caller makes it.

    Raises:
        ConfigurationError: the file is damaged, cannot be read or written, or others may read it.
    """
    path = state_dir / KEY_FILE
    try:
        key = bytes.fromhex(read_or_create(path, lambda: secrets.token_hex(_KEY_BYTES)))
    except ValueError as error:
        raise ConfigurationError(f"{path} is damaged; restore it from a backup") from error
    if len(key) < _KEY_BYTES:
        raise ConfigurationError(f"{path} needs a key of {_KEY_BYTES} bytes, in hex")
    return key


def text_hash(key: bytes, text: str) -> str:
    """A text's hash: 64 characters of hex, the same for the same key and text."""
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()
