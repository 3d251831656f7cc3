"""The valid API keys, in memory and regularly refreshed."""

import asyncio
import contextlib
import hmac
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from tidemill_core.domain.access import Authentication, Caller
from tidemill_core.errors import TidemillError, Unauthenticated, Unavailable
from tidemill_core.storage.api_keys import (
    KEY_ID,
    ApiKeyStore,
    StoredApiKey,
    secret_digest,
    split_api_key,
)

REFRESH_SECONDS = 0.5
PAUSE_SECONDS = 0.25
"""Minimum time between two reads of the keys, however many unknown keys arrive."""
LOOK_UP_SECONDS = 2.0
"""Longest wait of a call for its unknown key to be looked up."""
MAX_WAITING = 1000
"""Bound on the calls that wait for that."""
MAX_MISSING = 10_000
"""Bound on the ids in memory that were looked up and do not exist."""

log = structlog.get_logger()


class InvalidApiKey(Unauthenticated):
    """An API key that is unknown, mistyped or revoked."""

    def __init__(self) -> None:
        super().__init__("INVALID_API_KEY", "the API key is unknown or revoked")


class UnknownApiKey(InvalidApiKey):
    """A key id that is not among the known keys; the key may be new."""

    def __init__(self, key_id: str) -> None:
        super().__init__()
        self.key_id = key_id


class ApiKeyNotLookedUp(Unavailable):
    """An unknown key could not be looked up."""

    reason = "API_KEY_NOT_LOOKED_UP"

    def __init__(self) -> None:
        super().__init__("the API key is not known yet and cannot be looked up now; try again")


@dataclass(frozen=True)
class _LiveKey:
    secret_digest: bytes
    caller: Caller


@dataclass
class _Read:
    """One read of the keys, which calls with unknown keys wait for."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    succeeded: bool = False


class ApiKeys:
    """The callers by API key. `find` never waits.

    Args:
        store: the stored keys.
        on_change: called when a refresh finds other keys than before.
        now: returns the Unix time in seconds.
    """

    def __init__(
        self,
        store: ApiKeyStore,
        on_change: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._on_change = on_change
        self._now = now
        self._live: dict[str, _LiveKey] = {}
        self._missing: set[str] = set()
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._next_read = _Read()

    async def watch(self) -> None:
        """Refresh forever; while the database is away, the known keys stay."""
        while True:
            read, self._next_read = self._next_read, _Read()
            try:
                await self.refresh()
                read.succeeded = True
            except TidemillError as error:
                detail = error.detail or str(error)
                log.warning("api_keys_not_refreshed", reason=error.reason, detail=detail)
            read.ended.set()
            await self._until_due()

    async def _until_due(self) -> None:
        await asyncio.sleep(PAUSE_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), REFRESH_SECONDS - PAUSE_SECONDS)
        self._wanted.clear()

    async def refresh(self) -> None:
        """Read the keys.

        Raises:
            StorageUnavailable: the database is away; the known keys stay.
        """
        live = await asyncio.to_thread(self._read)
        if live is not self._live:
            self._live = live
            self._on_change()

    async def look_up(self, key_id: str) -> None:
        """Wait until `watch` has read the keys again, unless the id was looked up before.

        All waiting calls share one read.

        Raises:
            ApiKeyNotLookedUp: the database is away or slow, or too many calls wait.
        """
        if key_id in self._missing:
            return
        if self._waiting >= MAX_WAITING:
            raise ApiKeyNotLookedUp
        read = self._next_read
        self._wanted.set()
        self._waiting += 1
        try:
            await asyncio.wait_for(read.ended.wait(), LOOK_UP_SECONDS)
        except TimeoutError:
            raise ApiKeyNotLookedUp from None
        finally:
            self._waiting -= 1
        if not read.succeeded:
            raise ApiKeyNotLookedUp
        if key_id not in self._live:
            self._note_missing(key_id)

    def find(self, shown: str) -> Caller:
        """Return the caller who has a key.

        Raises:
            UnknownApiKey: its id is not among the known keys.
            InvalidApiKey: its secret is wrong.
            Unauthenticated: API_KEY_EXPIRED.
        """
        key_id, secret = split_api_key(shown)
        live = self._live.get(key_id)
        if live is None and re.fullmatch(KEY_ID, key_id):
            raise UnknownApiKey(key_id)
        # The digests are compared in constant time; the existence of a key id is not a secret.
        if live is None or not hmac.compare_digest(secret_digest(secret), live.secret_digest):
            raise InvalidApiKey
        if live.caller.expires <= self._now():
            raise Unauthenticated("API_KEY_EXPIRED", f"the API key {key_id} has expired")
        return live.caller

    def _read(self) -> dict[str, _LiveKey]:
        """Return the stored keys: the same dictionary if nothing changed."""
        live = {each.key.key_id: _live_key(each) for each in self._store.active()}
        return self._live if live == self._live else live

    def _note_missing(self, key_id: str) -> None:
        if len(self._missing) >= MAX_MISSING:
            self._missing.clear()
        self._missing.add(key_id)


def _live_key(stored: StoredApiKey) -> _LiveKey:
    key = stored.key
    caller = Caller(
        name=key.name,
        authentication=Authentication.API_KEY,
        scopes=key.scopes,
        tasks=key.tasks,
        requests_per_second=key.requests_per_second,
        caller_id=f"api_key:{key.key_id}",
        expires=key.expire_time.timestamp() if key.expire_time is not None else math.inf,
    )
    return _LiveKey(stored.secret_digest, caller)
