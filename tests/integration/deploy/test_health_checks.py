"""The images' health checks, run as the container engine runs them."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

from tests.integration.server.certificates import Authority
from tidemill_core.storage.storage import Storage, open_storage

IMAGES = Path(__file__).resolve().parents[3] / "deploy" / "images"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@contextlib.contextmanager
def serving(credentials: grpc.ServerCredentials | None = None) -> Iterator[tuple[Any, int]]:
    """A gRPC server's health, and its port."""
    with futures.ThreadPoolExecutor(2) as threads:
        running, health = grpc.server(threads), HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, running)
        if credentials is None:
            port = running.add_insecure_port("127.0.0.1:0")
        else:
            port = running.add_secure_port("127.0.0.1:0", credentials)
        running.start()
        yield health, port
        running.stop(grace=0).wait()


@pytest.fixture
def server() -> Iterator[tuple[HealthServicer, int]]:
    """A server without TLS."""
    with serving() as running:
        yield running


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    """The database of the workspace that the check runs in."""
    (tmp_path / "var").mkdir()
    opened = open_storage(f"sqlite:///{tmp_path / 'var' / 'tidemill.db'}")
    yield opened
    opened.database.close()


def check(script: str, folder: Path, *options: str, **variables: str) -> tuple[int, str]:
    """The exit code of a health check that is run in a folder, and what it complains of."""
    command = [sys.executable, str(IMAGES / script), *options]
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.strip()


def test_a_server_is_healthy_while_it_says_so(
    server: tuple[HealthServicer, int], tmp_path: Path
) -> None:
    """Only SERVING passes: a server that drains is let go of, and says why."""
    health, port = server
    health.set("", SERVING)
    assert check("server_healthy.py", tmp_path, TIDEMILL_GRPC_PORT=str(port)) == (0, "")
    health.set("", NOT_SERVING)
    assert check("server_healthy.py", tmp_path, TIDEMILL_GRPC_PORT=str(port)) == (1, "NOT_SERVING")


def test_a_server_that_does_not_answer_is_not_healthy(tmp_path: Path) -> None:
    """Where nothing listens, the check fails within its time and says what gRPC said."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        failing = (1, "no answer: UNAVAILABLE")
        assert check("server_healthy.py", tmp_path, TIDEMILL_GRPC_PORT=port) == failing


def test_a_server_with_tls_is_known_by_its_own_certificate(tmp_path: Path) -> None:
    """Over TLS only the server with the certificate in the workspace's settings is healthy."""
    own, other = Authority("own").issue(), Authority("other").issue()
    own.write(tmp_path / "server.crt", tmp_path / "server.key")
    settings = '[tls]\ncertificate = "server.crt"\nprivate_key = "server.key"\n'
    (tmp_path / "tidemill.toml").write_text(settings)
    outcomes = []
    for pair in (own, other):
        credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
        with serving(credentials) as (health, port):
            health.set("", SERVING)
            code, said = check("server_healthy.py", tmp_path, TIDEMILL_GRPC_PORT=str(port))
            outcomes.append((code, said.splitlines()[-1:]))  # gRPC logs its own words before
    assert outcomes == [(0, []), (1, ["no answer: UNAVAILABLE"])]


def test_a_server_that_asks_for_certificates_gets_the_callers(tmp_path: Path) -> None:
    """With mutual TLS the check shows the caller's; without one it says what is missing."""
    ours = Authority("ours")
    pair = ours.issue()
    pair.write(tmp_path / "server.crt", tmp_path / "server.key")
    ours.issue().write(tmp_path / "probe.crt", tmp_path / "probe.key")
    (tmp_path / "ca.crt").write_bytes(ours.certificate)
    settings = 'certificate = "server.crt"\nprivate_key = "server.key"\nclient_ca = "ca.crt"\n'
    (tmp_path / "tidemill.toml").write_text(f"[tls]\n{settings}")
    shown = {
        "TIDEMILL_CLIENT_CERTIFICATE": str(tmp_path / "probe.crt"),
        "TIDEMILL_CLIENT_KEY": str(tmp_path / "probe.key"),
    }
    credentials = grpc.ssl_server_credentials(
        [(pair.key, pair.certificate)], ours.certificate, require_client_auth=True
    )
    with serving(credentials) as (health, port):
        health.set("", SERVING)
        number = str(port)
        assert check("server_healthy.py", tmp_path, TIDEMILL_GRPC_PORT=number, **shown) == (0, "")
        code, said = check("server_healthy.py", tmp_path, TIDEMILL_GRPC_PORT=number)
        assert code == 1
        assert "TIDEMILL_CLIENT_CERTIFICATE" in said


def test_jobs_are_healthy_while_the_lease_is_renewed(storage: Storage, tmp_path: Path) -> None:
    """A live lease passes; none, or one that ran out, fails."""
    failing = (1, "no scheduler holds the lease")
    assert check("jobs_healthy.py", tmp_path) == failing
    storage.leases.acquire("jobs", "one", timedelta(minutes=5))
    assert check("jobs_healthy.py", tmp_path) == (0, "")
    storage.leases.acquire("jobs", "one", timedelta(minutes=-1))
    assert check("jobs_healthy.py", tmp_path) == failing


def test_jobs_are_not_ended_because_the_database_is_away(tmp_path: Path) -> None:
    """Nobody knows then who holds the lease: the check passes, and says what is away."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        url = f"postgresql+psycopg://tidemill@127.0.0.1:{port}/tidemill"
        code, said = check("jobs_healthy.py", tmp_path, TIDEMILL_DATABASE_URL=url)
        starting = check("jobs_healthy.py", tmp_path, "--startup", TIDEMILL_DATABASE_URL=url)
    assert (code, said.partition(":")[0]) == (0, "STORAGE_UNAVAILABLE")
    assert starting == (1, said)


def test_jobs_have_not_started_before_the_database_is_migrated(tmp_path: Path) -> None:
    """A SQLite file that is missing is away, and stays so; one without tables has no lease."""
    (tmp_path / "var").mkdir()
    file = tmp_path / "var" / "tidemill.db"
    code, said = check("jobs_healthy.py", tmp_path)
    assert (code, said.partition(":")[0]) == (0, "STORAGE_UNAVAILABLE")
    assert check("jobs_healthy.py", tmp_path, "--startup") == (1, said)
    assert not file.exists()
    file.touch()
    for options in ([], ["--startup"]):
        code, said = check("jobs_healthy.py", tmp_path, *options)
        assert (code, said.partition(":")[0]) == (1, "no scheduler holds the lease")


def test_jobs_with_a_lease_have_started(storage: Storage, tmp_path: Path) -> None:
    """The check of a start passes once a scheduler holds the lease."""
    failing = (1, "no scheduler holds the lease")
    assert check("jobs_healthy.py", tmp_path, "--startup") == failing
    storage.leases.acquire("jobs", "one", timedelta(minutes=5))
    assert check("jobs_healthy.py", tmp_path, "--startup") == (0, "")
