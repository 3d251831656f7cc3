"""The valid API keys, in memory and regularly refreshed."""

import asyncio
import hmac
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tidemill_core.domain.access import Authentication, Caller
from tidemill_core.errors import TidemillError, Unauthenticated
from tidemill_core.storage.api_keys import ApiKeyStore, StoredApiKey, secret_digest, split_api_key

REFRESH_SECONDS = 0.5

log = structlog.get_logger()


@dataclass(frozen=True)
class _LiveKey:
    secret_digest: bytes
    expires: float  # Unix time in seconds
    caller: Caller


class ApiKeys:
    """The callers by API key. Only `refresh` and `watch` wait for the database.

    Args:
        store: the stored keys.
        now: returns the Unix time in seconds.
    """

    def __init__(self, store: ApiKeyStore, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self._live: dict[str, _LiveKey] = {}

    async def watch(self) -> None:
        """Refresh forever; while the database is away, the known keys stay."""
        while True:
            try:
                await self.refresh()
            except TidemillError as error:
                detail = error.detail or str(error)
                log.warning("api_keys_not_refreshed", reason=error.reason, detail=detail)
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Read the keys.

        Raises:
            StorageUnavailable: the database is away; the known keys stay.
        """
        stored = await asyncio.to_thread(self._store.active)
        self._live = {each.key.key_id: _live_key(each) for each in stored}

    def find(self, shown: str) -> Caller:
        """Return the caller who has a key.

        Raises:
            Unauthenticated: INVALID_API_KEY, or API_KEY_EXPIRED.
        """
        key_id, secret = split_api_key(shown)
        live = self._live.get(key_id)
        # The digests are compared in constant time; the existence of a key id is not a secret.
        if live is None or not hmac.compare_digest(secret_digest(secret), live.secret_digest):
            raise Unauthenticated("INVALID_API_KEY", "the API key is unknown or revoked")
        if live.expires <= self._now():
            raise Unauthenticated("API_KEY_EXPIRED", f"the API key {key_id} has expired")
        return live.caller


def _live_key(stored: StoredApiKey) -> _LiveKey:
    key = stored.key
    caller = Caller(
        name=key.name,
        authentication=Authentication.API_KEY,
        scopes=key.scopes,
        tasks=key.tasks,
        requests_per_second=key.requests_per_second,
        caller_id=f"api_key:{key.key_id}",
    )
    expires = key.expire_time.timestamp() if key.expire_time is not None else math.inf
    return _LiveKey(stored.secret_digest, expires, caller)
