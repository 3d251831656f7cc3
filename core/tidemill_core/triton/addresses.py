"""The addresses of one or several Tritons."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

DNS = "dns:///"
_FILE = "|"
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):(\d{1,5})")
_PORTS = range(1, 65_536)


def is_dns(target: str) -> bool:
    """Return whether DNS says which Tritons a target stands for."""
    return target.startswith(DNS)


def with_stand_in(address: str, file: Path) -> str:
    """Return the target of a Triton and its stand-in, which a file names while it answers."""
    return f"{address}{_FILE}{file}"


def may_change(target: str) -> bool:
    """Return whether a target may stand for other Tritons later."""
    return is_dns(target) or _FILE in target


def named(target: str) -> list[str]:
    """Return each host:port that a target names, without looking names up or reading a file.

    Args:
        target: `host:port`; several, separated by commas; `dns:///host:port`, which stands for
            every address of the host; or as `with_stand_in`.

    Raises:
        ValueError: the target has another form.
    """
    listed = target.partition(_FILE)[0].removeprefix(DNS)
    parts = [part.strip() for part in listed.split(",")]
    found = [_HOST_AND_PORT.fullmatch(part) for part in parts]
    is_right = all(each and int(each[2]) in _PORTS for each in found)
    if not is_right or (len(parts) > 1 and is_dns(target)):
        form = f"host:port, several of them separated by commas, or {DNS}host:port"
        raise ValueError(f"{target!r} is not {form}")
    return list(dict.fromkeys(parts))


def shown(target: str) -> str:
    """Return a target as people read it."""
    return ", ".join(named(target))


def resolved(target: str) -> list[str]:
    """Return each Triton's host:port at this time; those from DNS are sorted.

    Raises:
        OSError: DNS does not know the name now, or the stand-in's file cannot be read.
        ValueError: the target has another form than `named` describes.
    """
    found = named(target)
    if not is_dns(target):
        file = target.partition(_FILE)[2]
        return [*found, *_stand_in(Path(file))] if file else found
    place = urlsplit(f"//{found[0]}")
    try:
        asked = socket.getaddrinfo(place.hostname, place.port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name is empty or too long
        raise OSError(str(error)) from error
    hosts = {(str(each[4][0]), each[0]) for each in asked}
    return sorted(_host_and_port(*host, place.port) for host in hosts)


def _stand_in(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except FileNotFoundError:
        return []


def _host_and_port(host: str, family: int, port: int | None) -> str:
    return f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
