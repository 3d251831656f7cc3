"""API keys, in the form `tm_<key id>_<secret>`.

The secret is 256 random bits in 43 URL-safe characters, and only its SHA-256 is stored. A slow
hash would protect secrets that can be guessed; 256 random bits cannot.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from sqlalchemy import select, update

from tidemill_core.domain.access import MAX_NAME_LENGTH, ApiKey, Scope, is_caller_name
from tidemill_core.errors import InvalidArgument, NotFound
from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import api_keys

PREFIX = "tm_"
KEY_ID = r"[0-9a-f]{12}"
"""Pattern of a key id."""
_KEY_ID_BYTES = 6
_SECRET_BYTES = 32


@dataclass(frozen=True)
class NewApiKey:
    """A key to create, with the fields of `ApiKey`."""

    name: str
    scopes: frozenset[Scope]
    tasks: frozenset[str] = frozenset()
    requests_per_second: float | None = None
    expire_time: datetime | None = None


@dataclass(frozen=True)
class StoredApiKey:
    """A key, and the SHA-256 (32 bytes) of its secret."""

    key: ApiKey
    secret_digest: bytes


class ApiKeyStore:
    """The table of API keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewApiKey, now: datetime) -> tuple[ApiKey, str]:
        """Create a key.

        Returns:
            The key, and the text that its owner sends. The text cannot be read again.

        Raises:
            InvalidArgument: a field is invalid.
        """
        _check(new, now)
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        values = {
            "key_id": secrets.token_hex(_KEY_ID_BYTES),
            "name": new.name,
            "secret_sha256": secret_digest(secret).hex(),
            "scopes": sorted(new.scopes),
            "tasks": sorted(new.tasks),
            "requests_per_second": new.requests_per_second,
            "create_time": now,
            "expire_time": new.expire_time,
            "revoke_time": None,
        }
        with self._database.write() as connection:
            connection.execute(api_keys.insert(), values)
        key = _api_key(values)
        return key, f"{PREFIX}{key.key_id}_{secret}"

    def list_all(self) -> list[ApiKey]:
        """Return all keys, newest first, including revoked and expired ones."""
        query = select(api_keys).order_by(api_keys.c.create_time.desc(), api_keys.c.key_id)
        with self._database.read() as connection:
            return [_api_key(row) for row in connection.execute(query).mappings()]

    def active(self) -> list[StoredApiKey]:
        """Return the keys that are not revoked.

        They include expired keys, so a caller with one gets an error that says so.
        """
        query = select(api_keys).where(api_keys.c.revoke_time.is_(None))
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [StoredApiKey(_api_key(row), bytes.fromhex(row["secret_sha256"])) for row in rows]

    def revoke(self, key_id: str, now: datetime) -> ApiKey:
        """Revoke a key; a key that is already revoked keeps its revocation time.

        Raises:
            NotFound: there is no such key.
        """
        this = api_keys.c.key_id == key_id
        change = update(api_keys).where(this, api_keys.c.revoke_time.is_(None))
        with self._database.write() as connection:
            connection.execute(change.values(revoke_time=now))
            row = connection.execute(select(api_keys).where(this)).mappings().first()
        if row is None:
            raise NotFound("API key", key_id)
        return _api_key(row)


def secret_digest(secret: str) -> bytes:
    """Return the SHA-256 (32 bytes) of a key's secret."""
    return hashlib.sha256(secret.encode()).digest()


def split_api_key(shown: str) -> tuple[str, str]:
    """Return the key id and the secret of an API key; empty if it has none."""
    key_id, _, secret = shown.removeprefix(PREFIX).partition("_")
    return key_id, secret


def _check(new: NewApiKey, now: datetime) -> None:
    rate = new.requests_per_second
    if not is_caller_name(new.name):
        rule = f"must have 1 to {MAX_NAME_LENGTH} characters, and no control characters"
        raise InvalidArgument("INVALID_NAME", "name", rule)
    if not new.scopes:
        rule = f"a key needs one or more of: {', '.join(Scope)}"
        raise InvalidArgument("NO_SCOPE", "scopes", rule)
    if rate is not None and not (isfinite(rate) and rate > 0):
        raise InvalidArgument(
            "INVALID_RATE", "requests_per_second", "must be a finite number above 0"
        )
    if new.expire_time is not None and new.expire_time <= now:
        raise InvalidArgument("INVALID_EXPIRE_TIME", "expire_time", "must be in the future")


def _api_key(row: Mapping[Any, Any]) -> ApiKey:
    values = {name: value for name, value in row.items() if name != "secret_sha256"}
    scopes = frozenset(map(Scope, values.pop("scopes")))
    return ApiKey(scopes=scopes, tasks=frozenset(values.pop("tasks")), **values)
