"""Keyed hashes of texts."""

from pathlib import Path

import pytest

from tidemill_core.errors import ConfigurationError
from tidemill_core.text_hash import KEY_FILE, load_text_key, text_hash


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    """The first call creates the key, which stays and which only its owner may read."""
    key = load_text_key(tmp_path)
    assert load_text_key(tmp_path) == key
    assert len(key) == 32
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["words", "ab" * 31])
def test_a_damaged_key_is_refused(tmp_path: Path, content: str) -> None:
    """A key that is not hexadecimal or too short is an error that names its file."""
    path = tmp_path / KEY_FILE
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match=KEY_FILE):
        load_text_key(tmp_path)


def test_a_hash_depends_on_key_and_text() -> None:
    """The hash is RFC 4231's HMAC-SHA256, so it differs with the key and the text."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert text_hash(b"Jefe", "what do ya want for nothing?") == expected
    assert len({text_hash(key, text) for key in (b"a", b"b") for text in ("x", "ü")}) == 4
