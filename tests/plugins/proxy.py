"""A proxy that takes connections and answers none: what goes through it fails."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Proxy:
    """A listener that counts who comes."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._seen = 0

    @property
    def connections(self) -> int:
        """How many connections it was asked for so far."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return self._seen
            connection.close()
            self._seen += 1


@contextmanager
def proxied(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """For the block, the environment sends all calls through a proxy."""
    for name in [name for name in os.environ if name.lower() in ("no_proxy", "no_grpc_proxy")]:
        monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for name in ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, url)
        yield Proxy(listener)
