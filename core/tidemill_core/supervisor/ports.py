"""The ports that a stack listens on, probed before anything is started.

grpcio shares ports by default, so a second server would bind without an error and take some of the
first server's requests.
"""

import errno
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tidemill_core.errors import AlreadyRunning, ConfigurationError

_INTERVAL_SECONDS = 0.05


@dataclass(frozen=True)
class ListeningPort:
    """A port that the stack will listen on.

    Attributes:
        setting: the name of its setting.
        host: the name or address to listen on.
        port: the port number.
    """

    setting: str
    host: str
    port: int

    @property
    def variable(self) -> str:
        """The environment variable that changes it."""
        return f"TIDEMILL_{self.setting.upper()}"


def probe_ports(ports: Sequence[ListeningPort], patience_seconds: float = 0.0) -> None:
    """Check that each port can be listened on.

    Args:
        ports: the ports that the stack will listen on.
        patience_seconds: time to wait for ports to become free: the processes of a stack that
            was just killed need a moment to end.

    Raises:
        AlreadyRunning: another process listens on one of the ports.
        ConfigurationError: two settings name the same port, or a port cannot be listened on.
    """
    _refuse_repeats(ports)
    deadline = time.monotonic() + patience_seconds
    for port in ports:
        while not _is_free(port):
            if time.monotonic() >= deadline:
                raise AlreadyRunning(
                    f"another process listens on port {port.port} of {port.host}: stop it, or "
                    f"set another port with {port.setting} in tidemill.toml or {port.variable}"
                )
            time.sleep(_INTERVAL_SECONDS)


def _refuse_repeats(ports: Sequence[ListeningPort]) -> None:
    seen: dict[int, str] = {}
    for port in ports:
        if port.port in seen:
            message = f"{seen[port.port]} and {port.setting} are both {port.port}"
            raise ConfigurationError(f"{message}: give each its own port")
        seen[port.port] = port.setting


def _is_free(port: ListeningPort) -> bool:
    try:
        addresses = socket.getaddrinfo(port.host, port.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                # As servers do: only another listener keeps a port in use, not a closed connection
                # in TIME_WAIT.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise ConfigurationError(
            f"cannot listen on port {port.port} of {port.host} ({error.strerror}): "
            f"change {port.setting} in tidemill.toml or {port.variable}"
        ) from error
    return True
