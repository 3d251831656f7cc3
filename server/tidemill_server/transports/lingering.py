"""Connections that stay open until their callers have read that they should move.

h2corn closes a connection as soon as its calls have ended. A call that arrives then would make the
kernel reset the connection, and its caller might lose the GOAWAY and count the call as failed.
While another descriptor of the connection is open, there is no reset, and the caller makes the call
on a new connection.
"""

import contextlib
import os
import stat
from pathlib import Path
from socket import socket

LINGER_SECONDS = 0.5


def open_connections(ports: set[int]) -> list[socket]:
    """Return further descriptors of this process's connections on ports."""
    found = []
    for entry in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            number = int(entry.name)
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                continue
            copy = socket(fileno=os.dup(number))
            if _is_connection(copy, ports):
                found.append(copy)
            else:
                copy.close()
    return found


def _is_connection(copy: socket, ports: set[int]) -> bool:
    try:
        copy.getpeername()
        return copy.getsockname()[1] in ports
    except (OSError, IndexError):  # it listens, or has no port
        return False
