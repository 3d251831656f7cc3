"""This machine's own addresses, and calls to them without a proxy."""

import ipaddress
import os
from urllib.parse import urlsplit

_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")
_OWN_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host; False for any name but localhost.

    Args:
        host: a name or an address; an IPv6 address may be in brackets.
    """
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def direct_options(address: str) -> tuple[tuple[str, int], ...]:
    """Return the gRPC channel options that send calls to this machine past proxies.

    Args:
        address: `host:port`, or another target that gRPC accepts.
    """
    target = address.rpartition("/")[2].removeprefix("ipv4:").removeprefix("ipv6:")
    try:
        host = urlsplit(f"//{target}").hostname or ""
    except ValueError:  # gRPC reports what is wrong with it
        return ()
    return (("grpc.enable_http_proxy", 0),) if is_loopback(host) else ()


def keep_loopback_direct() -> None:
    """Make this process, and those that it starts, call this machine without a proxy.

    The HTTP clients of libraries (MLflow, PyJWT, OpenTelemetry) read these variables.
    """
    for name in ("no_proxy", "no_grpc_proxy"):
        named = os.environ.get(name) or os.environ.get(name.upper()) or ""
        if name == "no_proxy" or named:
            own = (each for each in _OWN_NAMES if each not in named.split(","))
            os.environ[name] = ",".join([*filter(None, [named]), *own])


def proxy_variables() -> list[str]:
    """Return the names of the variables that set a proxy."""
    names = (*_PROXY_VARIABLES, *(name.upper() for name in _PROXY_VARIABLES))
    return [name for name in names if os.environ.get(name)]
