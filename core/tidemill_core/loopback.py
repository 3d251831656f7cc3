"""Which addresses are this machine's own. Calls to them go through no proxy."""

import ipaddress
import os
from urllib.parse import urlsplit

_PROXY_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")
_OWN_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host; any name but localhost counts as open.

    Args:
        host: a name or an address; an IPv6 address may stand in brackets.
    """
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def direct_options(address: str) -> tuple[tuple[str, int], ...]:
    """Return the gRPC channel options that keep calls to this machine away from proxies.

    Args:
        address: `host:port`, or another target that gRPC takes.
    """
    target = address.rpartition("/")[2].removeprefix("ipv4:").removeprefix("ipv6:")
    try:
        host = urlsplit(f"//{target}").hostname or ""
    except ValueError:  # gRPC says what is wrong with it
        return ()
    return (("grpc.enable_http_proxy", 0),) if is_loopback(host) else ()


def keep_loopback_direct() -> None:
    """Make this process, and those it starts, call this machine without a proxy.

    The HTTP clients of libraries (MLflow, PyJWT, OpenTelemetry) read these variables.
    """
    for name in ("no_proxy", "no_grpc_proxy"):
        named = os.environ.get(name) or os.environ.get(name.upper()) or ""
        if name == "no_proxy" or named:
            os.environ[name] = ",".join([*filter(None, [named]), *_OWN_NAMES])


def proxy_variables() -> list[str]:
    """Return the variables that are set and name a proxy."""
    names = (*_PROXY_VARIABLES, *(name.upper() for name in _PROXY_VARIABLES))
    return [name for name in names if os.environ.get(name)]
