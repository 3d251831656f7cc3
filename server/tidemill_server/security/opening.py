"""The parts that decide who may call, opened together."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tidemill_core.domain.access import Caller
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.settings import Settings
from tidemill_core.storage.api_keys import ApiKeyStore
from tidemill_server.security.api_keys import ApiKeys
from tidemill_server.security.gatekeeper import Gatekeeper
from tidemill_server.security.open_streams import OpenStreams
from tidemill_server.security.rate_limits import RateLimits
from tidemill_server.security.tokens import Tokens


@dataclass(frozen=True)
class Access:
    """Who may call.

    Attributes:
        watchers: background tasks that run until the server stops.
    """

    api_keys: ApiKeys
    gatekeeper: Gatekeeper
    open_streams: OpenStreams
    watchers: list[Callable[[], Coroutine[Any, Any, None]]]


def open_access(
    settings: Settings, store: ApiKeyStore, signer: PredictionIdSigner, workers: int
) -> Access:
    """Open API keys, tokens and rate limits.

    Args:
        settings: the workspace's settings.
        store: the API keys.
        signer: signs the prediction ids that callers see.
        workers: processes that share the port, and each rate.

    Raises:
        ConfigurationError: the keys for tokens cannot be used.
    """
    remembered: dict[str | bytes, Caller] = {}
    api_keys = ApiKeys(store, remembered.clear)
    tokens = Tokens(settings.auth, remembered.clear) if settings.auth.jwks else None
    limits, is_required = RateLimits(workers), settings.requires_credentials
    gatekeeper = Gatekeeper(api_keys, tokens, limits, signer, remembered, is_required=is_required)
    open_streams = OpenStreams(gatekeeper)
    watchers = [api_keys.watch, open_streams.watch]
    if tokens:
        tokens.open()
        watchers.append(tokens.watch)
    return Access(api_keys, gatekeeper, open_streams, watchers)
