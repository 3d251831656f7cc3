"""Whether the Tritons of `triton.url` answer `tidemill doctor`."""

import socket
from urllib.parse import urlsplit

from tidemill_core.durable import cause
from tidemill_core.triton.addresses import resolved

_SECONDS = 2.0


def silent_tritons(url: str) -> str:
    """Return which Tritons take no connection; empty if all do."""
    try:
        silent = [address for address in resolved(url) if not _answers(address)]
    except OSError as error:
        return f"{url}: {cause(error)}"
    return f"nothing answers at {', '.join(silent)}" if silent else ""


def _answers(address: str) -> bool:
    place = urlsplit(f"//{address}")
    try:
        with socket.create_connection((place.hostname or "", place.port or 0), _SECONDS):
            return True
    except OSError:
        return False
