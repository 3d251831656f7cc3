"""The port's exposure."""

import structlog

from tidemill_core.loopback import is_loopback
from tidemill_core.settings import Settings

log = structlog.get_logger()


def check_exposure(settings: Settings) -> None:
    """Log who can reach the server, and warn if that is a risk."""
    host = settings.grpc_host
    if is_loopback(host):
        log.info("loopback_only", host=host, to_change="set grpc_host; see docs/security.md")
        return
    if not settings.requires_credentials:
        log.warning(
            "open_to_everybody",
            host=host,
            risk="anyone who can reach the port can predict and change models",
            remedy="remove auth.required, and give callers keys: tidemill keys create",
        )
    elif settings.tls.certificate is None:
        log.warning(
            "keys_travel_in_clear",
            host=host,
            risk="anyone who can read the network's traffic sees callers' keys and texts",
            remedy="set tls.certificate and tls.private_key",
        )
