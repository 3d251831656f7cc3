"""The images' health checks, run as the container engine runs them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

from tidemill_core.clock import system_clock
from tidemill_core.storage.storage import Storage, open_storage

IMAGES = Path(__file__).resolve().parents[3] / "deploy" / "images"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def server() -> Iterator[tuple[HealthServicer, int]]:
    """A gRPC server's health, and its port."""
    with futures.ThreadPoolExecutor(2) as threads:
        running, health = grpc.server(threads), HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, running)
        port = running.add_insecure_port("127.0.0.1:0")
        running.start()
        yield health, port
        running.stop(grace=0).wait()


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    """The database of the workspace that the check runs in."""
    (tmp_path / "var").mkdir()
    opened = open_storage(f"sqlite:///{tmp_path / 'var' / 'tidemill.db'}")
    yield opened
    opened.database.close()


def check(script: str, folder: Path, **variables: str) -> tuple[int, str]:
    """The exit code of a health check that is run in a folder, and what it complains of."""
    command = [sys.executable, str(IMAGES / script)]
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


def test_jobs_are_healthy_while_the_lease_is_renewed(storage: Storage, tmp_path: Path) -> None:
    """A live lease passes; none, or one that ran out, fails."""
    failing = (1, "no scheduler holds the lease")
    assert check("jobs_healthy.py", tmp_path) == failing
    now = system_clock()
    storage.leases.acquire("jobs", "one", timedelta(minutes=5), now)
    assert check("jobs_healthy.py", tmp_path) == (0, "")
    storage.leases.acquire("jobs", "one", timedelta(minutes=-1), now)
    assert check("jobs_healthy.py", tmp_path) == failing
