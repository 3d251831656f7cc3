"""A gatekeeper, its parts, and credentials for tests."""

from dataclasses import dataclass

from tests.unit.server.security.issuer import Issuer
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Caller, Scope
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.storage.api_keys import NewApiKey
from tidemill_core.storage.storage import Storage
from tidemill_server.security.api_keys import ApiKeys
from tidemill_server.security.gatekeeper import Gatekeeper

SIGNER = PredictionIdSigner({0: b"k" * 32})
PREDICT = "/tidemill.v1.PredictionService/Predict"
PROMOTE = "/tidemill.v1.ModelService/PromoteModelVersion"
HEALTH = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True)
class World:
    """A gatekeeper and its parts."""

    storage: Storage
    api_keys: ApiKeys
    gatekeeper: Gatekeeper
    issuer: Issuer

    async def new_key(
        self, *scopes: Scope, tasks: frozenset[str] = frozenset(), rate: float | None = None
    ) -> str:
        """Make a key that the gatekeeper knows, and return it."""
        new = NewApiKey("shop", frozenset(scopes), tasks, rate)
        _, shown = self.storage.api_keys.create(new, system_clock())
        await self.api_keys.refresh()
        return shown

    def admit(self, method: str, credential: str) -> Caller:
        """Admit a call with a credential."""
        return self.gatekeeper.admit(method, bearer(credential))


def bearer(credential: str) -> list[tuple[str, str | bytes]]:
    """Return the metadata with a credential."""
    return [("user-agent", "test"), ("authorization", f"Bearer {credential}")]
