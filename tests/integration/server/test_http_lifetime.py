"""The HTTP port from the start of a process to its end."""

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.integration.server.asking_http import (
    BODY,
    PREDICT,
    TRUSTING_NOBODY,
    VERSIONS,
    http,
)
from tests.integration.server.certificates import Authority
from tests.integration.server.front import Front, Workspace
from tests.integration.server.scraping import in_flight
from tests.integration.server.test_metrics import grown
from tests.integration.server.test_outages import halted
from tests.integration.server.workers import running
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until

METHOD = "PredictionService/Predict"
HEAD = (
    f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: 100\r\n\r\n"
)
"""A request whose body does not arrive."""


@pytest.mark.parametrize("path", [PREDICT, "/console/sign-in"])
def test_a_slow_body_is_given_up(front: Front, path: str) -> None:
    """A body or form that trickles ends after ten seconds with 408; others are answered."""
    with socket.create_connection(("127.0.0.1", front.http_port), 30) as slow, http(front) as other:
        begin, received = time.monotonic(), b""
        slow.sendall(HEAD.replace(PREDICT, path).encode())
        slow.settimeout(1)
        while not received and time.monotonic() - begin < 60:
            slow.sendall(b" ")
            assert other.post(PREDICT, json=BODY).status_code == 200
            with contextlib.suppress(TimeoutError):
                received = slow.recv(4096)
        assert received.startswith(b"HTTP/1.1 408 ")
        assert 8 < time.monotonic() - begin < 15


def test_large_bodies_share_the_room_of_large_messages(front: Front) -> None:
    """Bodies that arrive at once have 32 MiB of the process; beyond, only small ones are read."""
    head = HEAD.replace("Content-Length: 100", "Content-Length: 2000000").encode()
    with contextlib.ExitStack() as open_until_the_end, http(front) as other:
        callers = [
            open_until_the_end.enter_context(
                socket.create_connection(("127.0.0.1", front.http_port), 10)
            )
            for _ in range(20)
        ]
        for caller in callers:
            with contextlib.suppress(OSError):  # it was refused before all was sent
                caller.sendall(head + bytes(1_900_000))
        refused, _, _ = select.select(callers, (), (), 60)
        assert 0 < len(refused) < 10
        assert {caller.recv(12) for caller in refused} == {b"HTTP/1.1 429"}
        assert other.post(PREDICT, json=BODY).status_code == 200


def test_a_caller_that_leaves_in_its_body_is_no_error(front: Front) -> None:
    """The call is CANCELLED, as over gRPC, and the log has no unexpected error."""
    canceled = {"requests_total": {"method": METHOD, "code": "CANCELLED"}}

    def leave() -> None:
        with socket.create_connection(("127.0.0.1", front.http_port), 10) as caller:
            caller.sendall(HEAD.encode())
            wait_until(lambda: in_flight(front, METHOD) == [1], "the call is under way")
        wait_until(lambda: in_flight(front, METHOD) == [0], "no call is under way")

    assert grown(front, canceled, leave) == {"requests_total": 1}
    assert "unexpected_error" not in front.log()


async def test_many_callers_at_once(front: Front) -> None:
    """Each gets an answer of its own on one connection."""
    url = f"http://127.0.0.1:{front.http_port}"
    options = {"http1": False, "http2": True, "timeout": 30, "trust_env": False}
    async with httpx.AsyncClient(base_url=url, **options) as client:
        answers = await asyncio.gather(*(client.post(PREDICT, json=BODY) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["prediction_id"] for answer in answers}) == 100


def test_a_caller_that_is_gone_is_not_answered(
    frail_front: Front, frail_triton: RunningTriton
) -> None:
    """When an HTTP/2 connection is closed, its call ends although Triton has not answered."""
    with halted(frail_triton):
        with http(frail_front, "HTTP/2") as client, pytest.raises(httpx.ReadTimeout):
            client.post(PREDICT, json=BODY, timeout=0.5)
        wait_until(lambda: in_flight(frail_front, METHOD) == [0], "no call is under way", 8)
    with http(frail_front) as client:
        wait_until(lambda: client.post(PREDICT, json=BODY).status_code == 200, "it answers")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("option", ["--http1.1", "--http2-prior-knowledge"])
def test_a_call_in_flight_is_answered_while_the_process_stops(
    frail_workspace: Workspace, frail_triton: RunningTriton, option: str
) -> None:
    """SIGTERM ends no call that has begun. httpx would give up when HTTP/2 announces the end."""
    with Front(frail_workspace, frail_triton.grpc_address) as front:
        with halted(frail_triton):
            url = f"http://127.0.0.1:{front.http_port}{PREDICT}"
            asked = ["-H", "content-type: application/json", "-d", json.dumps(BODY), url]
            begun = subprocess.Popen(["curl", "-s", option, *asked], stdout=subprocess.PIPE)
            wait_until(lambda: in_flight(front, METHOD) == [1], "the call is under way")
            front.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "draining" in front.log(), "the process stops")
        assert json.loads(begun.communicate(timeout=60)[0])["label"]
        assert front.process.wait(60) == 0


@pytest.mark.parametrize("path", [PREDICT, "/console/sign-in"])
def test_a_body_that_is_still_arriving_does_not_hold_the_end_up(
    frail_workspace: Workspace, frail_triton: RunningTriton, path: str
) -> None:
    """At SIGTERM its call or form is SHUTTING_DOWN: 503, and may be tried again."""
    with (
        Front(frail_workspace, frail_triton.grpc_address) as front,
        socket.create_connection(("127.0.0.1", front.http_port), 10) as slow,
    ):
        slow.sendall(b"GET /console/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: slow.recv(4096).rstrip().endswith(b"</html>"), "the connection is open")
        slow.sendall(HEAD.replace(PREDICT, path).encode())
        wait_until(lambda: path != PREDICT or in_flight(front, METHOD) == [1], "it is under way")
        front.process.send_signal(signal.SIGTERM)
        slow.settimeout(60)
        received = slow.recv(4096)
        assert received.startswith(b"HTTP/1.1 503 ")
        assert b"SHUTTING_DOWN" in received
        assert front.process.wait(60) == 0


def test_it_is_there_beside_grpcio(frail_workspace: Workspace, frail_triton: RunningTriton) -> None:
    """Whichever transport carries gRPC, HTTP is answered, and the drain ends both.

    A workspace of one task needs no task, and the settings name further hosts.
    """
    environment = {
        "TIDEMILL_SERVER__TRANSPORT": "grpcio",
        "TIDEMILL_HTTP_ALLOWED_HOSTS": '["mill.example"]',
    }
    with Front(frail_workspace, frail_triton.grpc_address, environment=environment) as front:
        for version in VERSIONS:
            with http(front, version, headers={"host": "mill.example"}) as client:
                assert client.post("/predict", json=BODY).status_code == 200
        assert front.stop() == 0


def test_a_taken_port_is_told(
    front: Front, frail_triton: RunningTriton, frail_workspace: Workspace
) -> None:
    """The process ends and names TIDEMILL_HTTP_PORT; a Service's URL in it is explained."""
    for value, said in (
        (str(front.http_port), "set TIDEMILL_HTTP_PORT to a free one"),
        ("tcp://10.0.0.1:8080", "enableServiceLinks"),
    ):
        environment = {"TIDEMILL_HTTP_PORT": value}
        second = Front(frail_workspace, frail_triton.grpc_address, environment=environment)
        second.launch()
        assert second.process.wait(60) == 1
        assert said in second.log()
        assert "TIDEMILL_HTTP_PORT" in second.log()


def test_the_certificate_is_grpcs(
    frail_workspace: Workspace, frail_triton: RunningTriton, tmp_path: Path
) -> None:
    """Over TLS the client chooses HTTP/1.1 or HTTP/2; without it there is no answer."""
    ours = Authority("ours")
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    ours.issue().write(certificate, key)
    environment = {
        "TIDEMILL_TLS__CERTIFICATE": str(certificate),
        "TIDEMILL_TLS__PRIVATE_KEY": str(key),
    }
    front = Front(frail_workspace, frail_triton.grpc_address, environment=environment)
    front.launch()
    try:
        wait_until(lambda: "loopback_only" in front.log(), "the process listens")
        trusting = ssl.create_default_context(cadata=ours.certificate.decode())
        for version in VERSIONS:
            with http(front, version, "https", verify=trusting) as client:
                answer = client.post(PREDICT, json=BODY)
                assert (answer.status_code, answer.http_version) == (200, version)
        with http(front) as in_clear, pytest.raises(httpx.TransportError):
            in_clear.post(PREDICT, json=BODY)
        with http(front, "HTTP/1.1", "https") as stranger, pytest.raises(httpx.ConnectError):
            stranger.post(PREDICT, json=BODY)
    finally:
        front.process.terminate()
        front.process.wait(20)


def test_two_workers_are_replaced_without_a_failed_call(
    frail_workspace: Workspace, frail_triton: RunningTriton
) -> None:
    """Whoever tries again after a broken connection gets every answer, also after kill -9."""
    with running(frail_workspace, frail_triton) as workers, ThreadPoolExecutor(4) as pool:
        asked, stopping = [0], threading.Event()

        def ask_on() -> None:
            while not stopping.wait(0.02):
                answer = _patiently(f"http://127.0.0.1:{workers.http_port}")
                assert answer.status_code == 200, answer.text
                asked[0] += 1

        callers = [pool.submit(ask_on) for _ in range(4)]
        before = set(workers.supervisor.pids().values())
        try:
            assert workers.supervisor.restart()
            workers.wait_until(
                lambda: not before & set(workers.supervisor.pids().values()), "both are new"
            )
            workers.until_all_run()
            os.kill(workers.supervisor.pids()["server-1"], signal.SIGKILL)
            workers.wait_until(
                lambda: workers.supervisor.pids().get("server-1", 0) not in (0, *before),
                "it is there again",
            )
            workers.until_all_run()
        finally:
            stopping.set()
        for caller in callers:
            caller.result()
        assert asked[0] > 50


def _patiently(url: str) -> httpx.Response:
    """Ask on a new connection, at most three times."""
    for _ in range(2):
        with contextlib.suppress(httpx.TransportError):
            return _ask(url)
    return _ask(url)


def _ask(url: str) -> httpx.Response:
    options = {"timeout": 30, "trust_env": False, "verify": TRUSTING_NOBODY}
    with httpx.Client(base_url=url, **options) as client:
        return client.post(PREDICT, json=BODY)
