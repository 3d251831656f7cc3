"""Sockets of ports, which a worker inherits from its supervisor or binds itself.

The workers of a stack share one socket: a waiting connection goes to any worker that accepts it, so
none is lost when a worker ends. With a socket for each worker (SO_REUSEPORT), the kernel would
reset the connections that wait for the one that ends.
"""

import errno
import json
import os
import socket
from collections.abc import Iterable, Sequence

from tidemill_core.errors import AlreadyRunning, ConfigurationError

VARIABLE = "TIDEMILL_LISTENERS"
_BACKLOG = 1024
_QUIET_SECONDS = 60
_PROBE_SECONDS = 20


class SharedPort:
    """A port that workers listen on, each start of a worker on the same sockets.

    Args:
        setting: the name of the port's setting.
        host: a name or an address.
        port: the port.
    """

    def __init__(self, setting: str, host: str, port: int) -> None:
        self.setting = setting
        self._address = host, port
        self._sockets: Sequence[socket.socket] = ()

    def descriptors(self) -> list[int]:
        """Return the descriptors of its sockets; the first call binds them.

        Raises:
            AlreadyRunning: another process listens on the port.
            ConfigurationError: the host cannot be listened on.
        """
        self._sockets = self._sockets or _bound(self.setting, *self._address)
        return [each.fileno() for each in self._sockets]

    def close(self) -> None:
        """Close its sockets here."""
        for each in self._sockets:
            each.close()
        self._sockets = ()


def inheritance(ports: Iterable[SharedPort]) -> tuple[dict[str, str], list[int]]:
    """Return the environment and the descriptors for a worker that inherits ports."""
    descriptors = {port.setting: port.descriptors() for port in ports}
    if not descriptors:
        return {}, []
    return {VARIABLE: json.dumps(descriptors)}, [n for some in descriptors.values() for n in some]


def listening_sockets(setting: str, host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen on every address of a host, inherited or new.

    Raises:
        AlreadyRunning: another process listens on the port.
        ConfigurationError: the host cannot be listened on.
    """
    inherited = json.loads(os.environ.get(VARIABLE, "{}")).get(setting)
    found = [socket.socket(fileno=n) for n in inherited] if inherited else None
    listeners = found or _bound(setting, host, port)
    for each in listeners:
        each.listen(_BACKLOG)
    return listeners


def _bound(setting: str, host: str, port: int) -> list[socket.socket]:
    variable = f"TIDEMILL_{setting.upper()}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_bound_to(family, address) for family, _, _, _, address in found]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} on {host} is taken; set {variable} to a free one"
            raise AlreadyRunning(message) from error
        message = f"cannot listen on port {port} of {host} ({error.strerror}); see {variable}"
        raise ConfigurationError(message) from error


def _bound_to(family: int, address: object) -> socket.socket:
    """Return a bound socket; accepted connections inherit its options."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):  # a connection whose peer vanished ends after 80 s
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _QUIET_SECONDS)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
        listener.bind(address)  # type: ignore[arg-type]  # a tuple of either family
    except OSError:
        listener.close()
        raise
    return listener
