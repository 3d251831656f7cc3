"""Fixtures for credentials: keys in a real database, and tokens of a test issuer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.server.security.issuer import Issuer
from tests.unit.server.security.world import SIGNER, Clock, World
from tidemill_core.domain.access import Caller
from tidemill_core.settings import AuthSettings
from tidemill_core.storage.storage import Storage, open_storage
from tidemill_server.security.api_keys import ApiKeys
from tidemill_server.security.gatekeeper import Gatekeeper
from tidemill_server.security.rate_limits import RateLimits
from tidemill_server.security.tokens import Tokens


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    """Return storage without rows."""
    opened = open_storage(f"sqlite:///{tmp_path / 'tidemill.db'}")
    yield opened
    opened.database.close()


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """Return an identity provider with its keys in a file."""
    return Issuer(tmp_path / "jwks.json")


@pytest.fixture
async def world(storage: Storage, issuer: Issuer, anyio_backend: str) -> World:
    """Return a gatekeeper that requires credentials, and its parts."""
    del anyio_backend  # named, so that tests that are not asynchronous may ask for a world
    remembered: dict[str | bytes, Caller] = {}
    now = Clock()
    api_keys = ApiKeys(storage.api_keys, remembered.clear, now)
    settings = AuthSettings(jwks=str(issuer.jwks), issuer="https://id.example")
    tokens = Tokens(settings, remembered.clear, now)
    tokens.open()
    gatekeeper = Gatekeeper(
        api_keys, tokens, RateLimits(1), SIGNER, remembered, now, is_required=True
    )
    await api_keys.refresh()
    return World(storage, api_keys, tokens, gatekeeper, issuer, now)
