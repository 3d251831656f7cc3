"""Keyed hashes that replace texts which must not be stored.

They are HMAC-SHA256, not plain SHA-256: texts are short and similar, so a reader of plain hashes
could guess the texts. The key is in a file of the state directory that only its owner may read;
without it, hashes can be neither guessed nor compared.
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
    """Return the key of a state directory; the first caller creates it.

    Raises:
        ConfigurationError: the file is damaged, cannot be read or written, or other users may
            read it.
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
    """Return a text's hash: 64 hexadecimal digits, the same for the same key and text."""
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()
