"""Listening sockets."""

import errno
import socket

from tidemill_core.errors import AlreadyRunning, ConfigurationError

_BACKLOG = 1024
_QUIET_SECONDS = 60
_PROBE_SECONDS = 20


def listening_sockets(setting: str, host: str, port: int, share_port: bool) -> list[socket.socket]:
    """Return sockets that listen on every address of a host.

    Connections whose peer vanished are closed after 80 s; accepted ones inherit these options.

    Args:
        setting: the name of the port's setting, for errors.
        host: a name or an address.
        port: the port.
        share_port: whether other processes may listen on it as well. If not, a second process
            fails instead of silently taking some of the calls.

    Raises:
        AlreadyRunning: another process listens on the port.
        ConfigurationError: the host cannot be listened on.
    """
    variable = f"TIDEMILL_{setting.upper()}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_listening(family, address, share_port) for family, _, _, _, address in found]
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} on {host} is taken; set {variable} to a free one"
            raise AlreadyRunning(message) from error
        message = f"cannot listen on port {port} of {host} ({error.strerror}); see {variable}"
        raise ConfigurationError(message) from error


def _listening(family: int, address: object, share_port: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if share_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _QUIET_SECONDS)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
        listener.bind(address)  # type: ignore[arg-type]
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
