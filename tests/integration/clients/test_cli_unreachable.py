"""The errors of commands whose TLS settings do not match the server's."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.integration.server.certificates import Authority
from tests.plugins.proxy import proxied
from tidemill_cli.main import run

OURS, OTHERS = Authority("ours"), Authority("others")

Serve = Callable[[grpc.ServerCredentials | None], int]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server without methods, and return its port."""
    server = grpc.server(ThreadPoolExecutor(1))

    def start(credentials: grpc.ServerCredentials | None) -> int:
        address = "127.0.0.1:0"
        port = (
            server.add_insecure_port(address)
            if credentials is None
            else server.add_secure_port(address, credentials)
        )
        server.start()
        return port

    yield start
    server.stop(None).wait()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the roots and client certificates of two authorities."""
    monkeypatch.chdir(tmp_path)
    for name, authority in (("ours", OURS), ("others", OTHERS)):
        (tmp_path / f"{name}-ca.crt").write_bytes(authority.certificate)
        authority.issue().write(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
    key = load_pem_private_key((tmp_path / "ours.key").read_bytes(), None)
    (tmp_path / "encrypted.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    return tmp_path


def tls(mutual: bool = False) -> grpc.ServerCredentials:
    """Return the credentials of a server with a certificate of our authority."""
    pair = OURS.issue()
    roots = OURS.certificate if mutual else None
    return grpc.ssl_server_credentials([(pair.key, pair.certificate)], roots, mutual)


ROOTS = {"TIDEMILL_ROOT_CERTIFICATES": "ours-ca.crt"}
OTHER_CLIENT = {"TIDEMILL_CLIENT_CERTIFICATE": "others.crt", "TIDEMILL_CLIENT_KEY": "others.key"}
MIXED_CLIENT = {"TIDEMILL_CLIENT_CERTIFICATE": "ours.crt", "TIDEMILL_CLIENT_KEY": "others.key"}
LOST_CLIENT = {"TIDEMILL_CLIENT_CERTIFICATE": "ours.crt", "TIDEMILL_CLIENT_KEY": "missing.key"}
HALF_CLIENT = {"TIDEMILL_CLIENT_CERTIFICATE": "ours.crt"}
ENCRYPTED_CLIENT = {
    "TIDEMILL_CLIENT_CERTIFICATE": "ours.crt",
    "TIDEMILL_CLIENT_KEY": "encrypted.key",
}
OUR_CLIENT = {"TIDEMILL_CLIENT_CERTIFICATE": "ours.crt", "TIDEMILL_CLIENT_KEY": "ours.key"}


@pytest.mark.parametrize(
    ("credentials", "variables", "words", "code"),
    [
        (tls(), {}, "uses TLS: set TIDEMILL_ROOT_CERTIFICATES", 2),
        (tls(mutual=True), {}, "uses TLS: set TIDEMILL_ROOT_CERTIFICATES", 2),
        (None, ROOTS, "does not use TLS: unset TIDEMILL_ROOT_CERTIFICATES", 2),
        (tls(mutual=True), ROOTS, "asks for a client certificate: set TIDEMILL_CLIENT_CERT", 2),
        (tls(mutual=True), ROOTS | OTHER_CLIENT, "refuses the client certificate", 2),
        (tls(), {"TIDEMILL_ROOT_CERTIFICATES": "others-ca.crt"}, "cannot be trusted", 2),
        (tls(mutual=True), ROOTS | MIXED_CLIENT, "a certificate and its key", 2),
        (tls(mutual=True), ROOTS | ENCRYPTED_CLIENT, "without a password", 2),
        (tls(mutual=True), ROOTS | LOST_CLIENT, "missing.key cannot be read", 2),
        (tls(mutual=True), ROOTS | HALF_CLIENT, "need each other: set both or neither", 2),
        (tls(), {"TIDEMILL_ROOT_CERTIFICATES": "ours.key"}, "has no certificates in PEM", 2),
        (tls(), {"TIDEMILL_ROOT_CERTIFICATES": "missing.crt"}, "missing.crt cannot be read", 2),
        (tls(), {"TIDEMILL_ROOT_CERTIFICATES": "system"}, "cannot be trusted", 2),
        (tls(), ROOTS, "UNIMPLEMENTED", 1),
        (tls(mutual=True), ROOTS | OUR_CLIENT, "UNIMPLEMENTED", 1),
        (None, {}, "UNIMPLEMENTED", 1),
    ],
)
def test_a_disagreement_about_tls_is_named(
    credentials: grpc.ServerCredentials | None,
    variables: dict[str, str],
    words: str,
    code: int,
    serve: Serve,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The command says what to set or unset, and gRPC prints nothing about a file."""
    assert files.is_dir()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(["models", "list", "--address", f"127.0.0.1:{serve(credentials)}"]) == code
    said = capfd.readouterr().err
    assert words in said
    assert "Handshaker factory" not in said


@pytest.mark.parametrize("servers", ["dns:///{0}", "ipv4:{0},127.0.0.1:1"])
def test_a_list_of_servers_is_judged_by_its_first(
    servers: str, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """A target of several servers that use TLS is not reported as one where nothing answers."""
    address = servers.format(f"127.0.0.1:{serve(tls())}")
    assert run(["models", "list", "--address", address]) == 2
    assert f"the server at {address} uses TLS" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:1",
        "grpc://127.0.0.1:1",
        "127.0.0.1",
        "127.0.0.1:",
        "::1:1",
        "h:65536",
        ":1",
    ],
)
def test_what_is_no_address_is_named(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says how to write an address, not that a server has to be started."""
    assert run(["models", "list", "--address", address]) == 2
    assert f"{address!r} is not the address of a server: write HOST" in capsys.readouterr().err


def test_spaces_around_an_address_do_not_matter(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable may end in a space or a line break."""
    assert run(["models", "list", "--address", f" 127.0.0.1:{serve(None)}\n"]) == 1
    assert "UNIMPLEMENTED" in capsys.readouterr().err


def test_a_command_calls_this_machine_past_any_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket on this machine, which is away, is asked directly by the command that reads it."""
    with proxied(monkeypatch) as proxy:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("TIDEMILL_DATASET_STORAGE", "s3://bucket/folder")
        command = [sys.executable, "-m", "tidemill_cli.main", "doctor"]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert "s3://bucket/folder" in ended.stdout
        assert proxy.connections == 0


def test_grpc_prints_nothing_of_its_own(serve: Serve, files: Path) -> None:
    """A command that TLS stops prints its error, and no lines of gRPC's log before it."""
    address = f"127.0.0.1:{serve(tls())}"
    command = [sys.executable, "-m", "tidemill_cli.main", "models", "list", "--address", address]
    roots = {"TIDEMILL_ROOT_CERTIFICATES": str(files / "others-ca.crt")}
    environment = {k: v for k, v in os.environ.items() if k != "GRPC_VERBOSITY"} | roots
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.stderr.startswith("error: the certificate of the server")


def test_outside_a_workspace_the_default_address_is_explained(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a tidemill.toml and an address, the command says where it looked for one."""
    assert run(["models", "list"]) == 3
    assert f"there is no {files / 'tidemill.toml'}" in capsys.readouterr().err


def test_a_stack_that_was_started_before_its_certificate_is_named(
    serve: Serve,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If only the settings have a certificate, the error says to restart the stack."""
    (files / "tidemill.toml").write_text('[tls]\ncertificate = "ours.crt"\n')
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", str(serve(None)))
    assert run(["models", "list"]) == 2
    assert "does not use TLS: restart `tidemill up`" in capsys.readouterr().err
