"""The table of API keys."""

import hashlib
import math
import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.contract.storage.values import NOW, later
from tidemill_core.domain.access import Scope
from tidemill_core.errors import InvalidArgument, NotFound
from tidemill_core.storage.api_keys import NewApiKey, split_api_key
from tidemill_core.storage.schema import api_keys
from tidemill_core.storage.storage import Storage

PREDICT = frozenset({Scope.PREDICT})


def test_a_key_reads_back_as_it_was_made(storage: Storage) -> None:
    """Every field comes back, with times in UTC."""
    new = NewApiKey(
        "shop", frozenset({Scope.PREDICT, Scope.FEEDBACK}), frozenset({"support"}), 2.5, later(60)
    )
    made, _ = storage.api_keys.create(new, NOW)
    [found] = storage.api_keys.list_all()
    assert found == made
    assert (found.name, found.scopes, found.tasks) == (new.name, new.scopes, new.tasks)
    assert (found.requests_per_second, found.expire_time) == (2.5, later(60))
    assert (found.create_time, found.revoke_time) == (NOW, None)


def test_the_secret_is_not_stored(storage: Storage) -> None:
    """The database has the id of a new key and the SHA-256 of its secret, not the secret."""
    made, shown = storage.api_keys.create(NewApiKey("shop", PREDICT), NOW)
    assert re.fullmatch(r"tm_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", shown)
    key_id, secret = split_api_key(shown)
    with storage.database.read() as connection:
        row = connection.execute(select(api_keys)).mappings().one()
    digest = hashlib.sha256(secret.encode())
    assert key_id == made.key_id
    assert row["secret_sha256"] == digest.hexdigest()
    assert secret not in str(dict(row))
    [active] = storage.api_keys.active()
    assert active.secret_digest == digest.digest()


def test_keys_differ(storage: Storage) -> None:
    """Two keys with one name share neither id nor secret; the newest is listed first."""
    first, first_shown = storage.api_keys.create(NewApiKey("shop", PREDICT), NOW)
    second, second_shown = storage.api_keys.create(NewApiKey("shop", PREDICT), later(1))
    assert split_api_key(first_shown)[1] != split_api_key(second_shown)[1]
    assert storage.api_keys.list_all() == [second, first]


def test_a_revoked_key_is_listed_and_not_active(storage: Storage) -> None:
    """The first revocation stays, and other keys do not change."""
    gone, _ = storage.api_keys.create(NewApiKey("gone", PREDICT), NOW)
    kept, _ = storage.api_keys.create(NewApiKey("kept", PREDICT), NOW)
    assert storage.api_keys.revoke(gone.key_id, later(5)).revoke_time == later(5)
    assert storage.api_keys.revoke(gone.key_id, later(9)).revoke_time == later(5)
    assert [each.key for each in storage.api_keys.active()] == [kept]
    assert len(storage.api_keys.list_all()) == 2


def test_revoking_what_is_not_there(storage: Storage) -> None:
    """An unknown key id is NotFound."""
    with pytest.raises(NotFound, match="0123456789ab"):
        storage.api_keys.revoke("0123456789ab", NOW)


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (NewApiKey("", PREDICT), "INVALID_NAME"),
        (NewApiKey("a\nb", PREDICT), "INVALID_NAME"),
        (NewApiKey("x" * 201, PREDICT), "INVALID_NAME"),
        (NewApiKey("shop", frozenset()), "NO_SCOPE"),
        (NewApiKey("shop", PREDICT, requests_per_second=0), "INVALID_RATE"),
        (NewApiKey("shop", PREDICT, requests_per_second=math.inf), "INVALID_RATE"),
        (NewApiKey("shop", PREDICT, requests_per_second=math.nan), "INVALID_RATE"),
        (NewApiKey("shop", PREDICT, expire_time=NOW - timedelta(1)), "INVALID_EXPIRE_TIME"),
    ],
)
def test_a_key_that_could_not_be_used(storage: Storage, new: NewApiKey, reason: str) -> None:
    """An invalid key is refused, and nothing is stored."""
    with pytest.raises(InvalidArgument) as refused:
        storage.api_keys.create(new, NOW)
    assert refused.value.reason == reason
    assert storage.api_keys.list_all() == []
