"""h2corn's server inside this process's event loop."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from socket import socket
from typing import Any, NamedTuple

from h2corn import Config, Server

from tidemill_core.settings import TlsSettings
from tidemill_core.supervisor.listening import listening_sockets
from tidemill_server.security.tls import read_tls
from tidemill_server.transports.lingering import LINGER_SECONDS, open_connections
from tidemill_server.transports.transport import (
    CONNECTION_LIMIT,
    GRACE_SECONDS,
    RETIRE_SECONDS,
)

LIMITS = Config(
    lifespan="off",
    access_log=False,
    log_format="json",
    date_header=False,
    runtime_threads=1,
    limit_connections=CONNECTION_LIMIT,
    timeout_handshake=5.0,
    timeout_request_header=10.0,
    timeout_keep_alive=300.0,
    # Bytes that the caller does not read are held for this long.
    h2_timeout_response_stall=60.0,
    h2_timeout_write=60.0,
    # `retire` and then `stop` end in this time.
    timeout_graceful_shutdown=RETIRE_SECONDS + GRACE_SECONDS,
)


class EmbeddedServer:
    """An ASGI application on a port, until `stop`.

    Args:
        app: the application.
        config: h2corn's settings, from LIMITS.
        tls: the certificate; without one, connections are not encrypted.
    """

    def __init__(self, app: Any, config: Config, tls: TlsSettings) -> None:
        if read_tls(tls) is not None:
            config = replace(config, certfile=tls.certificate, keyfile=tls.private_key)
        if tls.client_ca is not None:
            config = replace(config, ca_certs=tls.client_ca, cert_reqs="required")
        self._server = Server(app, config)
        self._ports: set[int] = set()
        self._serving: asyncio.Task[None] | None = None

    async def start(self, listeners: Sequence[socket]) -> None:
        """Accept connections on listening sockets, which the server closes."""
        bind = tuple(f"fd://{each.fileno()}" for each in listeners)
        self._server.config = replace(self._server.config, bind=bind)
        self._serving = asyncio.create_task(self._server.serve())
        await self._server.wait_started()
        self._ports = {each.getsockname()[1] for each in listeners}
        for listener in listeners:  # the server has its own copies
            listener.close()

    async def wait(self) -> None:
        """Return when the server has stopped; raise what stopped it."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def stop(self, seconds: float) -> None:
        """Accept no new connections, tell callers to move, and let calls end for some time."""
        if self._serving is None:
            return
        held = open_connections(self._ports)
        self._server.shutdown()
        await asyncio.wait([self._serving], timeout=seconds)
        if held:
            await asyncio.sleep(LINGER_SECONDS)
        for each in held:
            each.close()


class Port(NamedTuple):
    """A port to listen on, with the arguments of `listening_sockets`."""

    setting: str
    host: str
    number: int


class EmbeddedTransport:
    """A `Transport` on h2corn."""

    def __init__(self, server: EmbeddedServer, port: Port) -> None:
        self._server = server
        self._port = port

    async def start(self) -> None:
        """Listen, as in `Transport`."""
        await self._server.start(listening_sockets(*self._port))

    async def wait(self) -> None:
        """Wait for the end, as in `Transport`."""
        await self._server.wait()

    async def retire(self) -> None:
        """Retire, as in `Transport`."""
        await self._server.stop(RETIRE_SECONDS)

    async def stop(self) -> None:
        """Stop, as in `Transport`."""
        await self._server.stop(GRACE_SECONDS)
