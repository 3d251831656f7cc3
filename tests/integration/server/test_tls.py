"""TLS on the port, between real servers and clients."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
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
from structlog.testing import capture_logs

from tests.integration.server.certificates import Authority, Pair
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import TlsSettings
from tidemill_server.security.tls import server_credentials

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


async def _echo(request: bytes, context: Any) -> bytes:
    del context
    return request


@contextlib.asynccontextmanager
async def _server(tls: TlsSettings) -> AsyncIterator[int]:
    """A server on a free port, for a minute at most; the port."""
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(_echo)
    handler = grpc.method_handlers_generic_handler("test.Echo", {"Echo": method})
    server.add_generic_rpc_handlers((handler,))
    credentials = server_credentials(tls)
    assert credentials is not None
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        async with asyncio.timeout(60):
            yield port
    finally:
        await server.stop(0)


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
        call: Any = channel.unary_unary("/test.Echo/Echo")
        try:
            await call(b"hello", timeout=20)
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


async def test_an_expired_certificate_is_refused_until_it_is_renewed(files: TlsFiles) -> None:
    """Clients refuse it; the renewed one is used from the next connection, without a restart."""
    files.hold(OURS.issue(days=-1))
    async with _server(files.settings()) as port:
        assert await _outcome(port, _trusting(OURS)) is REFUSED
        files.hold(OURS.issue())
        assert await _outcome(port, _trusting(OURS)) is OK
        files.hold(OTHER.issue())
        with capture_logs() as logged:
            assert await _outcome(port, _trusting(OTHER)) is OK
            assert await _outcome(port, _trusting(OURS)) is REFUSED
        assert [entry["event"] for entry in logged] == ["certificate_read"]  # once


async def test_mutual_tls_asks_clients_for_a_certificate(files: TlsFiles) -> None:
    """Missing, foreign and expired ones are refused; the roots can be replaced, too."""
    async with _server(files.settings(mutual=True)) as port:
        assert await _outcome(port, _trusting(OURS, OURS.issue())) is OK
        assert await _outcome(port, _trusting(OURS)) is REFUSED
        assert await _outcome(port, _trusting(OURS, OTHER.issue())) is REFUSED
        assert await _outcome(port, _trusting(OURS, OURS.issue(days=-1))) is REFUSED
        files.client_ca.write_bytes(OTHER.certificate + b"\n")
        assert await _outcome(port, _trusting(OURS, OTHER.issue())) is OK
        assert await _outcome(port, _trusting(OURS, OURS.issue())) is REFUSED


@pytest.mark.parametrize("damage", ["garbage", "missing", "another key"])
async def test_a_broken_renewal_leaves_what_held(files: TlsFiles, damage: str) -> None:
    """The log names the file once; a later good renewal is used."""
    async with _server(files.settings()) as port:
        if damage == "garbage":
            files.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n")
        elif damage == "missing":
            files.key.unlink()
        else:
            files.key.write_bytes(OURS.issue().key + b"\n")
        with capture_logs() as logged:
            assert await _outcome(port, _trusting(OURS)) is OK
            assert await _outcome(port, _trusting(OURS)) is OK
        [entry] = [entry for entry in logged if entry["log_level"] == "error"]
        assert entry["event"] == "certificate_not_renewed"
        assert str(files.key.parent) in entry["detail"]
        files.hold(OTHER.issue())
        assert await _outcome(port, _trusting(OTHER)) is OK


def _encrypted_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))


def test_files_that_are_broken_at_the_start(files: TlsFiles) -> None:
    """Each is a ConfigurationError that names the file and shows none of its content."""
    good = files.key.read_bytes()
    for content in (b"", b"garbage", OURS.certificate, OURS.issue().key, _encrypted_key()):
        files.key.write_bytes(content)
        with pytest.raises(ConfigurationError, match=str(files.key)):
            server_credentials(files.settings())
    files.key.write_bytes(good)
    for content in (b"", b"garbage", good):
        files.client_ca.write_bytes(content)
        with pytest.raises(ConfigurationError, match=str(files.client_ca)):
            server_credentials(files.settings(mutual=True))
    files.certificate.unlink()
    with pytest.raises(ConfigurationError, match=f"{files.certificate} cannot be read"):
        server_credentials(files.settings())


def test_settings_that_are_half_there(files: TlsFiles) -> None:
    """Incomplete settings are refused; without settings there is no TLS."""
    for half in (
        TlsSettings(certificate=files.certificate),
        TlsSettings(private_key=files.key),
        TlsSettings(client_ca=files.client_ca),
        TlsSettings(certificate=files.certificate, client_ca=files.client_ca),
    ):
        with pytest.raises(ConfigurationError, match=r"both tls\.certificate and tls\.private_key"):
            server_credentials(half)
    assert server_credentials(TlsSettings()) is None
