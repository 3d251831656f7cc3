"""A gatekeeper, its parts, and credentials for tests."""

import time
from dataclasses import dataclass

from tests.unit.server.security.issuer import Issuer
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Caller, Scope
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.storage.api_keys import NewApiKey, split_api_key
from tidemill_core.storage.storage import Storage
from tidemill_server.security.api_keys import ApiKeys
from tidemill_server.security.gatekeeper import Gatekeeper
from tidemill_server.security.tokens import Tokens

SIGNER = PredictionIdSigner({0: b"k" * 32})
PREDICT = "/tidemill.v1.PredictionService/Predict"
PROMOTE = "/tidemill.v1.ModelService/PromoteModelVersion"
HEALTH = "/grpc.health.v1.Health/Check"


class Clock:
    """A clock that a test can put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Return the Unix time in seconds."""
        return time.time() + self.ahead


@dataclass(frozen=True)
class World:
    """A gatekeeper and its parts."""

    storage: Storage
    api_keys: ApiKeys
    tokens: Tokens
    gatekeeper: Gatekeeper
    issuer: Issuer
    clock: Clock

    async def new_key(
        self, *scopes: Scope, tasks: frozenset[str] = frozenset(), rate: float | None = None
    ) -> str:
        """Make a key that the gatekeeper knows, and return it."""
        new = NewApiKey("shop", frozenset(scopes), tasks, rate)
        _, shown = self.storage.api_keys.create(new, system_clock())
        await self.api_keys.refresh()
        return shown

    def revoke(self, shown: str) -> None:
        """Revoke a key; the gatekeeper does not know it yet."""
        self.storage.api_keys.revoke(split_api_key(shown)[0], system_clock())

    async def admit(self, method: str, credential: str) -> Caller:
        """Admit a call with a credential."""
        return await self.gatekeeper.admit(method, bearer(credential))


def bearer(credential: str) -> list[tuple[str, str | bytes]]:
    """Return the metadata with a credential."""
    return [("user-agent", "test"), ("authorization", f"Bearer {credential}")]
