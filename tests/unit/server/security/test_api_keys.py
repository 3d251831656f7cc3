"""API keys in memory."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.plugins.waiting import until
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Authentication, Scope
from tidemill_core.errors import Unauthenticated
from tidemill_core.storage.api_keys import ApiKeyStore, NewApiKey, StoredApiKey
from tidemill_core.storage.storage import Storage
from tidemill_server.security.api_keys import (
    MAX_WAITING,
    PAUSE_SECONDS,
    ApiKeyNotLookedUp,
    ApiKeys,
    UnknownApiKey,
)

PREDICT = frozenset({Scope.PREDICT})


def _ignored() -> None:
    """Do nothing when keys change."""


class _CountedStore(ApiKeyStore):
    """The stored keys, and how often they were read."""

    reads = 0

    def active(self) -> list[StoredApiKey]:
        self.reads += 1
        return super().active()


@contextlib.asynccontextmanager
async def _watching(keys: ApiKeys) -> AsyncIterator[None]:
    watching = asyncio.create_task(keys.watch())
    try:
        yield
        assert not watching.done()
    finally:
        watching.cancel()


def _refused(keys: ApiKeys, shown: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        keys.find(shown)
    assert shown not in str(refused.value)
    return refused.value.reason


async def test_a_key_is_known_from_the_refresh_after_it_was_made(storage: Storage) -> None:
    """The caller has the key's name, scopes, tasks and rate."""
    keys = ApiKeys(storage.api_keys, _ignored)
    new = NewApiKey("shop", PREDICT, frozenset({"support"}), 5.0)
    key, shown = storage.api_keys.create(new, system_clock())
    assert _refused(keys, shown) == "INVALID_API_KEY"
    await keys.refresh()
    caller = keys.find(shown)
    assert (caller.name, caller.scopes, caller.tasks) == ("shop", PREDICT, {"support"})
    assert (caller.requests_per_second, caller.authentication) == (5.0, Authentication.API_KEY)
    assert key.key_id in caller.caller_id


async def test_a_changed_secret_is_refused(storage: Storage) -> None:
    """A changed secret, or another key's id, is INVALID_API_KEY."""
    keys = ApiKeys(storage.api_keys, _ignored)
    _, shown = storage.api_keys.create(NewApiKey("shop", PREDICT), system_clock())
    _, other = storage.api_keys.create(NewApiKey("other", PREDICT), system_clock())
    await keys.refresh()
    swapped = "_".join([*shown.split("_", 2)[:2], other.split("_", 2)[2]])
    last = "A" if shown[-1] != "A" else "B"
    for wrong in (shown + "x", shown[:-1], shown[:-1] + last, swapped, "tm_", "tm__", "tm_x"):
        assert _refused(keys, wrong) == "INVALID_API_KEY"


async def test_a_revoked_key_is_refused_from_the_next_refresh(storage: Storage) -> None:
    """Other keys stay valid."""
    keys = ApiKeys(storage.api_keys, _ignored)
    gone, gone_shown = storage.api_keys.create(NewApiKey("gone", PREDICT), system_clock())
    _, kept_shown = storage.api_keys.create(NewApiKey("kept", PREDICT), system_clock())
    await keys.refresh()
    storage.api_keys.revoke(gone.key_id, system_clock())
    await keys.refresh()
    assert _refused(keys, gone_shown) == "INVALID_API_KEY"
    assert keys.find(kept_shown).name == "kept"


async def test_a_key_expires_without_a_refresh(storage: Storage) -> None:
    """An expired key is refused as API_KEY_EXPIRED, before and after a refresh."""
    now = [time.time()]
    keys = ApiKeys(storage.api_keys, _ignored, lambda: now[0])
    expire_time = system_clock() + timedelta(hours=1)
    _, shown = storage.api_keys.create(
        NewApiKey("shop", PREDICT, expire_time=expire_time), system_clock()
    )
    await keys.refresh()
    assert keys.find(shown).name == "shop"
    now[0] += 3601
    assert _refused(keys, shown) == "API_KEY_EXPIRED"
    await keys.refresh()
    assert _refused(keys, shown) == "API_KEY_EXPIRED"


async def test_known_keys_outlive_the_database(storage: Storage, tmp_path: Path) -> None:
    """While the database is away, known keys stay valid and a warning is logged."""
    keys = ApiKeys(storage.api_keys, _ignored)
    _, shown = storage.api_keys.create(NewApiKey("shop", PREDICT), system_clock())
    await keys.refresh()
    storage.database.close()
    database, away = tmp_path / "tidemill.db", tmp_path / "away"
    database.rename(away)
    database.mkdir()
    with capture_logs() as logged:
        watching = asyncio.create_task(keys.watch())
        await until(lambda: logged, "the failed refresh is logged")
        with pytest.raises(ApiKeyNotLookedUp):
            await keys.look_up("0123456789ab")
        assert not watching.done()
        watching.cancel()
    assert logged[0]["event"] == "api_keys_not_refreshed"
    assert keys.find(shown).name == "shop"
    database.rmdir()
    away.rename(database)
    await keys.refresh()
    assert keys.find(shown).name == "shop"


async def test_a_key_that_is_not_known_yet_is_looked_up(storage: Storage) -> None:
    """It is known when the lookup ends; the time is a fraction of a second."""
    keys = ApiKeys(storage.api_keys, _ignored)
    async with _watching(keys):
        key, shown = storage.api_keys.create(NewApiKey("shop", PREDICT), system_clock())
        with pytest.raises(UnknownApiKey) as unknown:
            keys.find(shown)
        await keys.look_up(unknown.value.key_id)
        assert unknown.value.key_id == key.key_id
        assert keys.find(shown).name == "shop"


async def test_unknown_ids_do_not_hurry_the_database(storage: Storage) -> None:
    """However many calls bring random keys, the keys are read a few times a second."""
    store = _CountedStore(storage.database)
    keys = ApiKeys(store, _ignored)
    async with _watching(keys):
        begin, asked = time.monotonic(), 0
        while (passed := time.monotonic() - begin) < 1.5 or asked < 100:
            await asyncio.gather(*(keys.look_up(f"{asked + n:012x}") for n in range(50)))
            asked += 50
    assert store.reads <= 2 + passed / PAUSE_SECONDS


async def test_an_id_that_does_not_exist_is_looked_up_once(storage: Storage) -> None:
    """The next call with it does not wait: nothing would read the keys any more."""
    keys = ApiKeys(storage.api_keys, _ignored)
    async with _watching(keys):
        await keys.look_up("0123456789ab")
    await keys.look_up("0123456789ab")


async def test_few_calls_wait_for_a_lookup(storage: Storage) -> None:
    """Beyond the bound a call fails immediately, and can be tried again."""
    keys = ApiKeys(storage.api_keys, _ignored)
    waiting = [asyncio.create_task(keys.look_up(f"{n:012x}")) for n in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(ApiKeyNotLookedUp):
        await keys.look_up("0123456789ab")
    async with _watching(keys):
        await asyncio.gather(*waiting)
        await keys.look_up("0123456789ab")


@pytest.mark.parametrize("wrong", ["tm_x_y", "tm_0123456789AB_y", "tm_0123456789abc_y", "tm__"])
async def test_what_cannot_be_a_key_is_not_looked_up(storage: Storage, wrong: str) -> None:
    """It is refused immediately."""
    with pytest.raises(Unauthenticated) as refused:
        ApiKeys(storage.api_keys, _ignored).find(wrong)
    assert not isinstance(refused.value, UnknownApiKey)


async def test_only_a_change_is_reported(storage: Storage) -> None:
    """A refresh that finds the same keys reports nothing."""
    changes: list[str] = []
    keys = ApiKeys(storage.api_keys, lambda: changes.append("changed"))
    key, _ = storage.api_keys.create(NewApiKey("shop", PREDICT), system_clock())
    for expected in (1, 1):
        await keys.refresh()
        assert len(changes) == expected
    storage.api_keys.revoke(key.key_id, system_clock())
    await keys.refresh()
    assert len(changes) == 2
