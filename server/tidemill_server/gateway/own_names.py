"""The defense against pages in a browser that call the server behind its user's back.

A page of another site may send requests to this machine, and its DNS name may even resolve to
loopback (DNS rebinding). Browsers always send the page's names, and no page can change them.
"""

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from tidemill_core.errors import PermissionDenied
from tidemill_core.loopback import is_loopback

_MOST_NAMES = 256
"""How many hosts' checks are remembered."""


class OwnNames:
    """The names of this server.

    Args:
        host: the address that it listens on.
        allowed_hosts: more of its names.
    """

    def __init__(self, host: str, allowed_hosts: tuple[str, ...]) -> None:
        self._names = {_plain(name) for name in (host, *allowed_hosts)}
        self._is_ours = lru_cache(maxsize=_MOST_NAMES)(self._is_our_name)
        self._is_everywhere = _plain(host) in ("", "0.0.0.0", "::")  # noqa: S104 -- not bound here

    def check(self, host: str, origin: str | None) -> None:
        """Check that a request is not from another site's page.

        Args:
            host: its `Host`, or `:authority` in HTTP/2.
            origin: its `Origin`; None if it has none, as outside of browsers.

        Raises:
            PermissionDenied: HOST_NOT_ALLOWED, or ORIGIN_NOT_ALLOWED.
        """
        if not self._is_ours(host):
            message = f"this server is not {host[:100]!r}; http_allowed_hosts lists its names"
            raise PermissionDenied("HOST_NOT_ALLOWED", message)
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            message = f"pages of {origin[:100]!r} may not call this server"
            raise PermissionDenied("ORIGIN_NOT_ALLOWED", message)

    def _is_our_name(self, host: str) -> bool:
        name = _name_of(host)
        if name in self._names or is_loopback(name):
            return True
        # A page that reached this machine by its DNS name never has an address as its host.
        return self._is_everywhere and _is_address(name)


def _plain(name: str) -> str:
    return name.lower().strip("[]").removesuffix(".")


def _name_of(host: str) -> str:
    """Return the name or address of `host[:port]`; empty if it has none."""
    try:
        split = urlsplit(f"//{host}")
        split.port  # noqa: B018 -- raises for what is no port
    except ValueError:
        return ""
    is_only_host = split.netloc == host and split.username is None
    return _plain(split.hostname or "") if is_only_host else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
