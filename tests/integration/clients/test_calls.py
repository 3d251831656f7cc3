"""What both Python clients add to every call: credentials, deadlines, retries, TLS."""

import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.integration.clients.calls import BOTH, Asyncio, Threads
from tests.integration.clients.scripted import ScriptedServer, status
from tests.plugins.proxy import proxied
from tidemill.v1.feedback_service_pb2 import StreamFeedbackRequest
from tidemill.v1.prediction_service_pb2 import StreamPredictRequest
from tidemill_cli.connection import new_client
from tidemill_cli.target import target_of
from tidemill_client import (
    AsyncTidemillClient,
    DeadlineExceeded,
    Overloaded,
    TidemillClient,
    Tls,
    Unavailable,
)

Client = Threads | Asyncio
BOTH_CLIENTS = pytest.mark.parametrize("client", BOTH, ids=repr)
KEY = "tm_key.secret"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Yield the test's own server."""
    with ScriptedServer() as running:
        yield running


def assert_known(server: ScriptedServer, calls: int) -> None:
    """Check that every call had the key and the client's name."""
    assert len(server.metadata) == calls
    for metadata in server.metadata:
        assert metadata["authorization"] == f"Bearer {KEY}"
        assert metadata["user-agent"].startswith("tidemill-python/")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:{0}",
        "localhost:{0}",
        "LocalHost:{0}",
        "[::ffff:127.0.0.1]:{0}",
        "dns:localhost:{0}",
        "dns:127.0.0.1:{0}",
        "dns:///localhost:{0}",
        "ipv4:127.0.0.1:{0}",
        "ipv4:127.0.0.1:{0},127.0.0.1:{0}",
        "ipv6:[::ffff:127.0.0.1]:{0}",
    ],
)
def test_a_server_on_this_machine_is_called_past_any_proxy(
    server: ScriptedServer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy in the environment gets no call, however the address is written."""
    with (
        proxied(monkeypatch) as proxy,
        TidemillClient(address.format(server.port), timeout=5) as client,
    ):
        assert client.predict("t", "a").label == "a"
        assert proxy.connections == 0


def test_the_key_goes_with_every_kind_of_call(server: ScriptedServer) -> None:
    """Unary calls and streams have the key, of methods and of stubs."""
    with TidemillClient(server.address, api_key=KEY) as client:
        client.predict("t", "a")
        client.submit_feedback("p", correct=True)
        assert client.feedback.StreamFeedback(iter([StreamFeedbackRequest()])).accepted_count == 1
        assert len(list(client.predict_stream([StreamPredictRequest(id="a", text="a")]))) == 1
        assert len(list(client.predict_many(["a"], task="t"))) == 1
    assert_known(server, 5)


async def test_the_key_goes_with_every_kind_of_call_of_asyncio(server: ScriptedServer) -> None:
    """The client for asyncio sends the key as the client for threads does."""
    async with AsyncTidemillClient(server.address, api_key=KEY) as client:
        await client.predict("t", "a")
        await client.submit_feedback("p", correct=True)
        await client.feedback.StreamFeedback(iter([StreamFeedbackRequest()]))
        requests = [StreamPredictRequest(id="a", text="a")]
        assert [name async for name, _ in client.predict_stream(requests)] == ["a"]
        assert len([one async for one in client.predict_many(["a"], task="t")]) == 1
    assert_known(server, 5)


@BOTH_CLIENTS
@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_a_refusal_that_may_pass_is_tried_again(
    client: Client, server: ScriptedServer, code: str
) -> None:
    """Predictions and verdicts are retried by gRPC, and the caller gets the answer."""
    refusal = (status(grpc.StatusCode[code]), ())
    server.refusals.extend([refusal, refusal])
    assert client.call("predict", server.address, "t", "a").label == "a"
    server.refusals.append(refusal)
    client.call("submit_feedback", server.address, "p", correct=True)
    assert server.calls == 5


@BOTH_CLIENTS
def test_five_refusals_are_an_error_with_the_time_to_retry(
    client: Client, server: ScriptedServer
) -> None:
    """The error has the last one's details, in one traceback without gRPC's own."""
    refusal = (status(grpc.StatusCode.RESOURCE_EXHAUSTED, 0.25), ())
    server.refusals.extend([refusal] * 6)
    with pytest.raises(Overloaded) as caught:
        client.call("predict", server.address, "t", "a", request_id="r")
    error = caught.value
    assert (error.reason, error.retry_after_seconds, error.request_id) == ("SCRIPTED", 0.25, "r")
    assert server.calls == 5
    assert "During handling" not in "".join(traceback.format_exception(error))
    assert "_InactiveRpcError" not in "".join(traceback.format_exception(error))


def test_a_servers_own_pause_is_kept(server: ScriptedServer) -> None:
    """The trailing metadata `grpc-retry-pushback-ms` sets the time of the next attempt."""
    refusal = status(grpc.StatusCode.RESOURCE_EXHAUSTED, 0.6)
    server.refusals.append((refusal, (("grpc-retry-pushback-ms", "600"),)))
    start = time.monotonic()
    assert Threads().call("predict", server.address, "t", "a").label == "a"
    assert time.monotonic() - start > 0.59


@BOTH_CLIENTS
def test_a_call_keeps_to_its_timeout(client: Client, server: ScriptedServer) -> None:
    """A call's own timeout overrides the client's."""
    server.answering.clear()
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        client.call("predict", server.address, "t", "a", timeout=0.3)
    with pytest.raises(DeadlineExceeded):
        client.call("predict", server.address, "t", "a", client={"timeout": 0.3})
    server.answering.set()
    assert time.monotonic() - start < 4


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes
    signer: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, name: str, root: "Certificate | None" = None) -> "Certificate":
        """Return a certificate for a name or an address; without a root, it is self-signed."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = (
            root.subject if root else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        address = name.replace(".", "").isdigit()
        bears = x509.IPAddress(ip_address(name)) if address else x509.DNSName(name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([bears]), critical=False)
            .add_extension(x509.BasicConstraints(ca=root is None, path_length=None), critical=True)
        )
        signed = builder.sign(root.signer if root else key, SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return cls(signed.public_bytes(Encoding.PEM), pem, key)

    @property
    def subject(self) -> x509.Name:
        """Return the certificate's subject."""
        return x509.load_pem_x509_certificate(self.certificate).subject


ROOT = Certificate.make("test root")
SERVER = Certificate.make("tidemill.example.com", ROOT)
CALLER = Certificate.make("caller", ROOT)


@pytest.fixture(scope="module")
def mutual_server() -> Iterator[ScriptedServer]:
    """Yield a server with TLS that asks callers for a certificate."""
    credentials = grpc.ssl_server_credentials(
        [(SERVER.key, SERVER.certificate)], ROOT.certificate, require_client_auth=True
    )
    with ScriptedServer(credentials) as running:
        yield running


@BOTH_CLIENTS
def test_mutual_tls_works_from_files_and_bytes(
    client: Client, mutual_server: ScriptedServer, tmp_path: Path
) -> None:
    """With the root, a certificate and its key, the call is answered and has the API key."""
    root = tmp_path / "root.pem"
    root.write_bytes(ROOT.certificate)
    tls = Tls(root, CALLER.certificate, CALLER.key.decode(), "tidemill.example.com")
    options = {"tls": tls, "api_key": KEY}
    assert client.call("predict", mutual_server.address, "t", "a", client=options).label == "a"
    assert mutual_server.metadata[-1]["authorization"] == f"Bearer {KEY}"


@BOTH_CLIENTS
@pytest.mark.parametrize(
    "tls",
    [
        True,
        Tls(ROOT.certificate, server_name="tidemill.example.com"),
        Tls(CALLER.certificate, CALLER.certificate, CALLER.key, "tidemill.example.com"),
        Tls(ROOT.certificate, CALLER.certificate, CALLER.key),
    ],
    ids=["other roots", "no certificate", "wrong root", "another name"],
)
def test_a_connection_that_cannot_be_trusted_is_unavailable(
    client: Client, mutual_server: ScriptedServer, tls: bool | Tls
) -> None:
    """A wrong root, a wrong name and a missing client certificate each end the connection."""
    with pytest.raises(Unavailable):
        client.call("predict", mutual_server.address, "t", "a", timeout=2, client={"tls": tls})


@pytest.mark.parametrize(
    "certificate",
    [SERVER, Certificate.make("tidemill.example.com"), Certificate.make("192.0.2.7")],
    ids=["signed by a root", "signed by itself", "of an address"],
)
def test_commands_know_their_workspaces_own_server(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file in tls.certificate is enough, for any name; the key is from the environment."""
    credentials = grpc.ssl_server_credentials([(certificate.key, certificate.certificate)])
    (tmp_path / "server.pem").write_bytes(certificate.certificate)
    (tmp_path / "tidemill.toml").write_text('[tls]\ncertificate = "server.pem"\n')
    monkeypatch.chdir(tmp_path)
    with ScriptedServer(credentials) as server:
        monkeypatch.setenv("TIDEMILL_GRPC_PORT", str(server.port))
        monkeypatch.setenv("TIDEMILL_API_KEY", KEY)
        with new_client(target_of("")) as client:
            assert client.predict("t", "a").label == "a"
        assert_known(server, 1)
