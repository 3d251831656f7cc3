"""How far the port can be reached, and whether callers must then say who they are."""

import structlog

from tidemill_core.loopback import is_loopback
from tidemill_core.settings import Settings

log = structlog.get_logger()


def authentication_required(settings: Settings) -> bool:
    """Whether callers must show a credential: by default on every address but loopback."""
    if settings.auth.required is not None:
        return settings.auth.required
    return not is_loopback(settings.grpc_host)


def check_exposure(settings: Settings) -> None:
    """Log what whoever starts the server should know about who can reach it."""
    host = settings.grpc_host
    if is_loopback(host):
        log.info("loopback_only", host=host, to_change="set grpc_host; see docs/security.md")
        return
    if not authentication_required(settings):
        log.warning(
            "open_to_everybody",
            host=host,
            risk="whoever reaches the port can predict, and change models",
            remedy="leave auth.required out, and give callers keys: tidemill keys create",
        )
    elif settings.tls.certificate is None:
        log.warning(
            "keys_travel_in_clear",
            host=host,
            risk="whoever sees the network can read callers' keys and texts",
            remedy="set tls.certificate and tls.private_key",
        )
