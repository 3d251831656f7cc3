"""The exposure of the ports."""

import structlog

from tidemill_core.loopback import is_loopback
from tidemill_core.settings import Settings

log = structlog.get_logger()


def check_exposure(settings: Settings) -> None:
    """Log who can reach the server, and warn if that is a risk."""
    open_hosts = {
        host for host in (settings.grpc_host, settings.http_host) if not is_loopback(host)
    }
    if not open_hosts:
        to_change = "set grpc_host or http_host; see docs/security.md"
        log.info("loopback_only", to_change=to_change)
        return
    host = ", ".join(sorted(open_hosts))
    if not settings.requires_credentials:
        log.warning(
            "open_to_everybody",
            host=host,
            risk="anyone who can reach the server can predict and change models",
            remedy="remove auth.required, and give callers keys: tidemill keys create",
        )
    elif settings.tls.certificate is None:
        log.warning(
            "keys_travel_in_clear",
            host=host,
            risk="anyone who can read the network's traffic sees callers' keys and texts",
            remedy="set tls.certificate and tls.private_key",
        )
