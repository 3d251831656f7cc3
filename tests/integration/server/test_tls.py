"""TLS on the port, between real servers and clients."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from tests.integration.server.certificates import Authority, Pair
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import TlsSettings
from tidemill_core.supervisor.listening import listening_sockets
from tidemill_server.security.tls import read_tls
from tidemill_server.transports.embedded import LIMITS, EmbeddedServer

OK, REFUSED = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE
OURS, OTHER = Authority("ours"), Authority("other")


@dataclass(frozen=True)
class TlsFiles:
    """The files that the settings name."""

    certificate: Path
    key: Path
    client_ca: Path

    def settings(self, mutual: bool = False) -> TlsSettings:
        """Return settings of TLS or mutual TLS."""
        return TlsSettings(
            certificate=self.certificate,
            private_key=self.key,
            client_ca=self.client_ca if mutual else None,
        )

    def hold(self, pair: Pair) -> None:
        """Write a certificate and its key."""
        pair.write(self.certificate, self.key)


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    """Write a good certificate, its key, and the roots of clients."""
    made = TlsFiles(tmp_path / "server.crt", tmp_path / "server.key", tmp_path / "clients.crt")
    made.hold(OURS.issue())
    made.client_ca.write_bytes(OURS.certificate)
    return made


async def _ok(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer every call with OK and no message."""
    fields = [(b"content-type", b"application/grpc"), (b"grpc-status", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextlib.asynccontextmanager
async def _server(tls: TlsSettings) -> AsyncIterator[int]:
    """A server on a free port, for a minute at most; the port."""
    server = EmbeddedServer(_ok, replace(LIMITS, grpc=True), tls)
    listeners = listening_sockets("grpc_port", "127.0.0.1", 0)
    port = listeners[0].getsockname()[1]
    await server.start(listeners)
    try:
        async with asyncio.timeout(60):
            yield port
    finally:
        await server.stop(5)


async def _outcome(port: int, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    """Return the outcome of a call on a new connection."""
    # Without this gRPC would reuse a connection of an earlier channel.
    options = [("grpc.use_local_subchannel_pool", 1)]
    target = f"127.0.0.1:{port}"
    if credentials is None:
        channel = grpc.aio.insecure_channel(target, options)
    else:
        channel = grpc.aio.secure_channel(target, credentials, options)
    async with channel:
        call: Any = channel.unary_stream("/test.Test/Nothing")
        try:
            assert [message async for message in call(b"hello", timeout=20)] == []
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK


def _trusting(authority: Authority, client: Pair | None = None) -> grpc.ChannelCredentials:
    if client is None:
        return grpc.ssl_channel_credentials(authority.certificate)
    return grpc.ssl_channel_credentials(authority.certificate, client.key, client.certificate)


async def test_only_those_who_trust_the_certificate_connect(files: TlsFiles) -> None:
    """A client with another root, or without TLS, cannot connect."""
    async with _server(files.settings()) as port:
        assert await _outcome(port, _trusting(OURS)) is OK
        assert await _outcome(port, _trusting(OTHER)) is REFUSED
        assert await _outcome(port, None) is REFUSED


async def test_an_expired_certificate_is_refused(files: TlsFiles) -> None:
    """Clients refuse it; a server that starts with the renewed one is accepted."""
    files.hold(OURS.issue(days=-1))
    async with _server(files.settings()) as port:
        assert await _outcome(port, _trusting(OURS)) is REFUSED
    files.hold(OURS.issue())
    async with _server(files.settings()) as port:
        assert await _outcome(port, _trusting(OURS)) is OK


async def test_mutual_tls_asks_clients_for_a_certificate(files: TlsFiles) -> None:
    """Missing, foreign and expired ones are refused."""
    async with _server(files.settings(mutual=True)) as port:
        assert await _outcome(port, _trusting(OURS, OURS.issue())) is OK
        assert await _outcome(port, _trusting(OURS)) is REFUSED
        assert await _outcome(port, _trusting(OURS, OTHER.issue())) is REFUSED
        assert await _outcome(port, _trusting(OURS, OURS.issue(days=-1))) is REFUSED


def _encrypted_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))


def test_files_that_are_broken_at_the_start(files: TlsFiles) -> None:
    """Each is a ConfigurationError that names the file and shows none of its content."""
    good = files.key.read_bytes()
    for content in (b"", b"garbage", OURS.certificate, OURS.issue().key, _encrypted_key()):
        files.key.write_bytes(content)
        with pytest.raises(ConfigurationError, match=str(files.key)):
            read_tls(files.settings())
    files.key.write_bytes(good)
    for content in (b"", b"garbage", good):
        files.client_ca.write_bytes(content)
        with pytest.raises(ConfigurationError, match=str(files.client_ca)):
            read_tls(files.settings(mutual=True))
    files.certificate.unlink()
    with pytest.raises(ConfigurationError, match=f"{files.certificate} cannot be read"):
        read_tls(files.settings())


def test_settings_that_are_half_there(files: TlsFiles) -> None:
    """Incomplete settings are refused; without settings there is no TLS."""
    for half in (
        TlsSettings(certificate=files.certificate),
        TlsSettings(private_key=files.key),
        TlsSettings(client_ca=files.client_ca),
        TlsSettings(certificate=files.certificate, client_ca=files.client_ca),
    ):
        with pytest.raises(ConfigurationError, match=r"both tls\.certificate and tls\.private_key"):
            read_tls(half)
    assert read_tls(TlsSettings()) is None
