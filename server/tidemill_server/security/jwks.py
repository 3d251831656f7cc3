"""The public keys of tokens, from a JWKS file or an https URL."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from jwt import PyJWK, PyJWKClient, PyJWKSet
from jwt.exceptions import PyJWTError

from tidemill_core.errors import ConfigurationError

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Asymmetric ones only, so that the keys in the JWKS cannot sign tokens."""
URL_SECONDS = 300.0
"""How often a URL is read again."""
PAUSE_SECONDS = 10.0
"""Minimum time between two attempts to read a URL."""
_FILE_SECONDS = 0.5
_FETCH_TIMEOUT_SECONDS = 5.0
_WHAT_READING_RAISES = (OSError, ValueError, PyJWTError)

log = structlog.get_logger()


class SigningKeys:
    """The keys by id. `open` reads them, and `watch` reads them again in a thread.

    Args:
        source: a file's path, or an https URL.
        pause_seconds: minimum time after which a URL is read again for an unknown key, or if there
            are no keys.
    """

    def __init__(self, source: str, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._source = source
        self._pause_seconds = pause_seconds
        self._is_url = source.lower().startswith("https://")
        self._keys: Mapping[str, PyJWK] = {}
        self._content: bytes | None = None
        self._attempt = 0.0  # on the monotonic clock
        self._unknown_key_seen = asyncio.Event()

    def open(self) -> None:
        """Read the keys for the first time.

        If a URL does not answer, that is logged and `watch` tries again. Callers with API keys can
        be served meanwhile.

        Raises:
            ConfigurationError: the file has no keys.
        """
        try:
            self._read()
        except _WHAT_READING_RAISES as error:
            if not self._is_url:
                message = f"auth.jwks: {self._source} cannot be read as a JWKS: {error}"
                raise ConfigurationError(message) from error
            log.warning("jwks_not_read", source=self._source, detail=str(error))

    def find(self, key_id: str | None) -> PyJWK | None:
        """Return a key; without an id, the only key if there is only one.

        A missing key may be new, so it makes `watch` read a URL again.
        """
        keys = self._keys
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        key = keys.get(key_id)
        if key is None:
            self._unknown_key_seen.set()
        return key

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Refresh the keys forever; if the source cannot be read, they stay as they are.

        Args:
            on_change: called after the keys were read again.
        """
        while True:
            await self._until_due()
            try:
                if await asyncio.to_thread(self._read):
                    on_change()
            except _WHAT_READING_RAISES as error:
                log.warning("jwks_not_read", source=self._source, detail=str(error))

    async def _until_due(self) -> None:
        if not self._is_url:
            await asyncio.sleep(_FILE_SECONDS)
            return
        regular = self._attempt + (URL_SECONDS if self._keys else self._pause_seconds)
        self._unknown_key_seen.clear()
        try:
            await asyncio.wait_for(self._unknown_key_seen.wait(), regular - time.monotonic())
        except TimeoutError:
            return
        early = self._attempt + self._pause_seconds - time.monotonic()
        await asyncio.sleep(max(early, 0))

    def _read(self) -> bool:
        """Read the source unless it is an unchanged file, and return whether it was read."""
        self._attempt = time.monotonic()
        if self._is_url:
            client = PyJWKClient(self._source, cache_jwk_set=False, timeout=_FETCH_TIMEOUT_SECONDS)
            self._keys = _usable(client.fetch_data())
            return True
        content = Path(self._source).read_bytes()
        if content == self._content:
            return False
        self._content = content  # before parsing, so that broken content is logged once
        self._keys = _usable(json.loads(content))
        return True


def _usable(document: object) -> dict[str, PyJWK]:
    """Return the keys that may sign tokens.

    Raises:
        ValueError: there are none.
        PyJWTError: none can be read.
    """
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    keys = {
        key.key_id or "": key
        for key in PyJWKSet.from_dict(document).keys
        if key.algorithm_name in ALGORITHMS and key.public_key_use in ("sig", None)
    }
    if not keys:
        raise ValueError(f"it has no key for any of {', '.join(sorted(ALGORITHMS))}")
    return keys
