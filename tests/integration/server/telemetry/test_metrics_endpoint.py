"""The page that Prometheus scrapes, over real sockets and with real worker processes."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.plugins.waiting import wait_until
from tests.unit.server.telemetry.conftest import PREDICT, make_metrics
from tidemill_core.errors import AlreadyRunning, ConfigurationError
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.metrics_endpoint import (
    MAX_CONNECTIONS,
    SILENCE_SECONDS,
    MetricsEndpoint,
)

HOST = "127.0.0.1"
WORKER = Path(__file__).with_name("worker.py")


@pytest.fixture
def port(metrics: Metrics) -> Iterator[int]:
    """Yield an endpoint's port."""
    endpoint = MetricsEndpoint(metrics)
    yield endpoint.start(HOST, 0)
    endpoint.close()


def ask(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    """Return status and body of an answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def samples(text: str) -> dict[str, float]:
    """Samples of a page by name and the values of the labels, in the order of the labels' names."""
    return {
        " ".join(
            (sample.name, *(value for _, value in sorted(sample.labels.items())))
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_are_served(port: int, metrics: Metrics) -> None:
    """A scrape has current values, including gauges that other code sets."""
    metrics.ended(PREDICT, "OK", "").inc()
    metrics.method(PREDICT).in_flight.inc()
    status, page = ask(port)
    assert status == 200
    found = samples(page)
    assert found[f"tidemill_requests_total OK {PREDICT} "] == 1
    assert found[f"tidemill_in_flight_requests {PREDICT}"] == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_metrics_are_only_read(port: int, method: str) -> None:
    """Only GET is answered."""
    assert ask(port, "/metrics", method)[0] == 405


def test_a_taken_port_is_told_with_its_setting(port: int, metrics: Metrics) -> None:
    """A second process fails immediately, and the error names the variable to change."""
    with pytest.raises(AlreadyRunning, match="TIDEMILL_METRICS_PORT"):
        MetricsEndpoint(metrics).start(HOST, port)


def test_an_address_that_is_not_ours_is_told_with_its_setting(metrics: Metrics) -> None:
    """A host without this address is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="TIDEMILL_METRICS_HOST"):
        MetricsEndpoint(metrics).start("203.0.113.1", 9464)


def test_connections_are_bounded(port: int) -> None:
    """Silent connections are few; the next one is closed without an answer."""
    silent = [socket.create_connection((HOST, port)) for _ in range(MAX_CONNECTIONS)]
    try:
        with socket.create_connection((HOST, port), timeout=10) as one_more:
            assert one_more.recv(1) == b""
        # Immediately, while the others have seconds left until they are closed.
        with pytest.raises(BlockingIOError):
            silent[-1].recv(1, socket.MSG_DONTWAIT)
    finally:
        for each in silent:
            each.close()
    wait_until(lambda: is_answered(port), "there is room again", 20)


def is_answered(port: int) -> bool:
    """Return whether there is room for one more connection."""
    with contextlib.suppress(http.client.HTTPException, OSError):
        return ask(port)[0] == 200
    return False


def test_a_slow_connection_is_cut(port: int) -> None:
    """A caller that never ends its request does not hold a thread forever."""
    with socket.create_connection((HOST, port), timeout=SILENCE_SECONDS + 10) as slow:
        slow.sendall(b"GET /met")
        assert slow.recv(1) == b""


class Worker:
    """A process with metrics in a folder that it shares; says its port when it listens."""

    def __init__(self, folder: Path, port: int) -> None:
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), str(port)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def end(self) -> None:
        """Kill a worker with SIGKILL, like a crash."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[Worker]]:
    """Yield two workers on one port, in a folder whose name would be a search pattern."""
    folder = tmp_path / "[x]*"
    folder.mkdir()
    first = Worker(folder, 0)
    running = [first, Worker(folder, first.port)]
    yield running
    for each in running:
        each.end()


def test_any_worker_answers_for_all(workers: list[Worker]) -> None:
    """Counters and gauges are sums over the workers, ages the largest; a dead worker's gauges go.

    Its counters stay: what was counted has happened. What another worker counted comes within
    half a second.
    """
    time.sleep(0.6)  # no worker may need longer
    for _ in range(5):  # whichever of them the kernel picks
        found = samples(ask(workers[0].port)[1])
        assert found[f"tidemill_requests_total OK {PREDICT} "] == 2
        assert found["tidemill_queued_rows support"] == 10
        assert found["tidemill_log_lag_seconds"] == 1.5
        assert found["tidemill_queue_seconds_count support"] == 2
    workers[1].end()
    found = samples(ask(workers[0].port)[1])
    assert found[f"tidemill_requests_total OK {PREDICT} "] == 2
    assert found["tidemill_queued_rows support"] == 5


def test_the_metrics_of_the_tests_are_in_memory() -> None:
    """Without the variable nothing is written to files."""
    metrics = make_metrics()
    metrics.log_rows["lost"].inc()
    assert metrics.registry.get_sample_value("tidemill_log_rows_total", {"outcome": "lost"}) == 1
