"""A proxy that accepts connections and answers none, so that calls through it fail."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Proxy:
    """A listener that counts connections."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._seen = 0

    @property
    def connections(self) -> int:
        """The number of connections so far."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return self._seen
            connection.close()
            self._seen += 1


@contextmanager
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Set the environment so that all calls go through a proxy in the block."""
    for name in [name for name in os.environ if name.lower() in ("no_proxy", "no_grpc_proxy")]:
        monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for name in ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, url)
        yield Proxy(listener)
