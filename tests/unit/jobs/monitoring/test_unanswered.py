"""The reason why another system gave no answer."""

import smtplib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from urllib.request import urlopen

import httpx
import pytest
import requests

from tidemill_jobs.monitoring.unanswered import why_unanswered

Ask = Callable[[int, float], object]
PATIENT = 30.0
NAME = "hush"


def _smtp(port: int, seconds: float) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=seconds):
        pass


WAYS: list[Ask] = [
    lambda port, seconds: httpx.post(f"http://127.0.0.1:{port}/{NAME}", timeout=seconds),
    lambda port, seconds: requests.post(f"http://127.0.0.1:{port}/{NAME}", timeout=seconds),
    lambda port, seconds: urlopen(f"http://127.0.0.1:{port}/{NAME}", timeout=seconds),
    _smtp,
]


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    """A port whose connections no one accepts."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _reason(ask: Ask, port: int, seconds: float = PATIENT) -> str:
    with pytest.raises(Exception) as raised:  # noqa: PT011 -- any library's
        ask(port, seconds)
    reason = why_unanswered(raised.value)
    assert NAME not in reason
    return reason


def _answering(receiver: socket.socket, said: bytes) -> threading.Thread:
    """Start a server of one connection, which says something, closes its side, and reads."""

    def answer() -> None:
        caller, _ = receiver.accept()
        with caller, suppress(OSError):
            caller.sendall(said)
            caller.shutdown(socket.SHUT_WR)
            while caller.recv(4096):  # all of it, so that closing is no reset
                pass

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


@pytest.mark.parametrize("ask", WAYS)
def test_the_system_s_words(ask: Ask, receiver: socket.socket) -> None:
    """A closed port, silence and a closed connection are named, whatever library asked."""
    port = receiver.getsockname()[1]
    assert _reason(ask, 1) == "Connection refused"
    assert _reason(ask, port, 0.05) == "it took too long"
    receiver.accept()[0].close()
    server = _answering(receiver, b"")
    assert _reason(ask, port) == "it closed the connection"
    server.join()


def test_a_server_without_tls(receiver: socket.socket) -> None:
    """A server that does not speak TLS where it should is named so."""
    port = receiver.getsockname()[1]
    server = _answering(receiver, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    reason = _reason(lambda port, _: httpx.get(f"https://127.0.0.1:{port}", timeout=PATIENT), port)
    assert reason.startswith("it does not speak TLS as expected: ")
    server.join()
