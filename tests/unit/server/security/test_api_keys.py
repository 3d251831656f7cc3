"""API keys in memory."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.plugins.waiting import until
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Authentication, Scope
from tidemill_core.errors import Unauthenticated
from tidemill_core.storage.api_keys import NewApiKey
from tidemill_core.storage.storage import Storage
from tidemill_server.security.api_keys import ApiKeys

PREDICT = frozenset({Scope.PREDICT})


def _refused(keys: ApiKeys, shown: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        keys.find(shown)
    assert shown not in str(refused.value)
    return refused.value.reason


async def test_a_key_is_known_from_the_refresh_after_it_was_made(storage: Storage) -> None:
    """The caller has the key's name, scopes, tasks and rate."""
    keys = ApiKeys(storage.api_keys)
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
    keys = ApiKeys(storage.api_keys)
    _, shown = storage.api_keys.create(NewApiKey("shop", PREDICT), system_clock())
    _, other = storage.api_keys.create(NewApiKey("other", PREDICT), system_clock())
    await keys.refresh()
    swapped = "_".join([*shown.split("_", 2)[:2], other.split("_", 2)[2]])
    last = "A" if shown[-1] != "A" else "B"
    for wrong in (shown + "x", shown[:-1], shown[:-1] + last, swapped, "tm_", "tm__", "tm_x"):
        assert _refused(keys, wrong) == "INVALID_API_KEY"


async def test_a_revoked_key_is_refused_from_the_next_refresh(storage: Storage) -> None:
    """Other keys stay valid."""
    keys = ApiKeys(storage.api_keys)
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
    keys = ApiKeys(storage.api_keys, lambda: now[0])
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
    keys = ApiKeys(storage.api_keys)
    _, shown = storage.api_keys.create(NewApiKey("shop", PREDICT), system_clock())
    await keys.refresh()
    storage.database.close()
    database, away = tmp_path / "tidemill.db", tmp_path / "away"
    database.rename(away)
    database.mkdir()
    with capture_logs() as logged:
        watching = asyncio.create_task(keys.watch())
        await until(lambda: logged, "the failed refresh is logged", 20)
        assert not watching.done()
        watching.cancel()
    assert logged[0]["event"] == "api_keys_not_refreshed"
    assert keys.find(shown).name == "shop"
    database.rmdir()
    away.rename(database)
    await keys.refresh()
    assert keys.find(shown).name == "shop"
