"""The addresses of one or several Tritons."""

import re
import socket
from urllib.parse import urlsplit

DNS = "dns:///"
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
_PORTS = range(1, 65_536)


def is_dns(target: str) -> bool:
    """Return whether DNS says which Tritons a target stands for."""
    return target.startswith(DNS)


def named(target: str) -> list[str]:
    """Return each host:port that a target names, without looking names up.

    Args:
        target: `host:port`; several, separated by commas; or `dns:///host:port`, which stands for
            every address of the host.

    Raises:
        ValueError: the target has another form.
    """
    parts = [part.strip() for part in target.removeprefix(DNS).split(",")]
    found = [_HOST_AND_PORT.fullmatch(part) for part in parts]
    is_right = all(each and int(each[2]) in _PORTS for each in found)
    if not is_right or (len(parts) > 1 and is_dns(target)):
        form = f"host:port, several of them separated by commas, or {DNS}host:port"
        raise ValueError(f"{target!r} is not {form}")
    return list(dict.fromkeys(parts))


def resolved(target: str) -> list[str]:
    """Return each Triton's host:port at this time; those from DNS are sorted.

    Raises:
        OSError: DNS does not know the name now.
        ValueError: the target has another form than `named` describes.
    """
    found = named(target)
    if not is_dns(target):
        return found
    place = urlsplit(f"//{found[0]}")
    try:
        asked = socket.getaddrinfo(place.hostname, place.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name is empty or too long
        raise OSError(str(error)) from error
    hosts = {(str(each[4][0]), each[0]) for each in asked}
    return sorted(_host_and_port(*host, place.port) for host in hosts)


def _host_and_port(host: str, family: int, port: int | None) -> str:
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
