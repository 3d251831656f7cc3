"""What an address says about its servers, without looking a name up."""

import ipaddress
import re

_SCHEME = re.compile(r"^(dns:(//[^/]*/)?|ipv4:|ipv6:)")
"""The start of a target that may stand for several servers."""


def is_local(address: str) -> bool:
    """Return whether an address can only be on this machine."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    target = _SCHEME.sub("", address)
    return all(map(_is_loopback, target.split(",")))


def _is_loopback(place: str) -> bool:
    """Return whether a host:port can only be on this machine."""
    host = place.rpartition(":")[0] or place
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def is_list(address: str) -> bool:
    """Return whether an address stands for several servers, which calls are spread over."""
    return address.startswith(("dns:", "ipv4:", "ipv6:"))
