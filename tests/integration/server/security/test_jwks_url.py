"""Signing keys from an https URL, with a real server and certificate."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.integration.server.certificates import Authority
from tests.plugins.waiting import until
from tests.unit.server.security.issuer import Issuer
from tidemill_server.security.jwks import SigningKeys


class _Publisher:
    """Serves the issuer's file over https.

    Attributes:
        url: where.
        reads: how often it was read.
        is_away: whether it answers with an error.
    """

    def __init__(self, issuer: Issuer, folder: Path) -> None:
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.reads += 1
                content = b"" if publisher.is_away else issuer.jwks.read_bytes()
                self.send_response(503 if publisher.is_away else 200)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- theirs
                pass

        authority = Authority("publisher")
        certificate, key = folder / "publisher.crt", folder / "publisher.key"
        authority.issue().write(certificate, key)
        self.root = folder / "root.crt"
        self.root.write_bytes(authority.certificate)
        self.reads, self.is_away = 0, False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/jwks.json"


@pytest.fixture
def publisher(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[_Publisher]:
    """Yield a running publisher whose certificate the machine trusts."""
    made = _Publisher(issuer, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.root))
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


async def _until_known(keys: SigningKeys, key_id: str) -> int:
    """Return how often `watch` found a change until it knew the key."""
    changes: list[None] = []
    watching = asyncio.create_task(keys.watch(lambda: changes.append(None)))
    try:
        await until(lambda: keys.find(key_id), f"the key {key_id!r} is known")
        return len(changes)
    finally:
        watching.cancel()


async def test_an_unknown_key_makes_it_read_again(publisher: _Publisher, issuer: Issuer) -> None:
    """A new key is unknown at first and known soon; known keys cause no read."""
    keys = SigningKeys(publisher.url, pause_seconds=0.1)
    keys.open()
    assert keys.find("first") is not None
    issuer.rotate("second")
    assert keys.find("second") is None
    assert publisher.reads == 1
    assert await _until_known(keys, "second") == 1
    assert publisher.reads == 2
    assert keys.find("first") is None


async def test_unknown_keys_do_not_make_it_read_often(publisher: _Publisher) -> None:
    """Invented keys do not make the next read come earlier."""
    keys = SigningKeys(publisher.url)
    keys.open()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_until_known(keys, "made-up"), 0.5)
    assert publisher.reads == 1


async def test_an_issuer_that_is_away_at_the_start(publisher: _Publisher) -> None:
    """The server starts with a warning, and knows the keys once the issuer is back."""
    publisher.is_away = True
    keys = SigningKeys(publisher.url, pause_seconds=0.1)
    with capture_logs() as logged:
        keys.open()
    assert [entry["event"] for entry in logged] == ["jwks_not_read"]
    publisher.is_away = False
    assert await _until_known(keys, "first") == 1


def test_a_certificate_that_nobody_trusts(
    publisher: _Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Keys from a server without a trusted certificate are not used."""
    other = tmp_path / "other.crt"
    other.write_bytes(Authority("other").certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(other))
    keys = SigningKeys(publisher.url)
    with capture_logs() as logged:
        keys.open()
    assert "CERTIFICATE_VERIFY_FAILED" in logged[0]["detail"]
    assert keys.find("first") is None
