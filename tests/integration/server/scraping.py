"""Scrapes of running processes."""

import urllib.request
from pathlib import Path

from tests.integration.server.front import Front
from tidemill_core.triton.testing import RunningTriton

_FLAG = "--metrics-port="


def front_page(front: Front) -> str:
    """Return the front's metrics, in Prometheus's text format."""
    return _page(front.metrics_port)


def triton_page(triton: RunningTriton) -> str:
    """Return Triton's metrics."""
    command = Path(f"/proc/{triton.process.pid}/cmdline").read_text("utf-8").split("\0")
    port = next(word.removeprefix(_FLAG) for word in command if word.startswith(_FLAG))
    return _page(int(port))


def _page(port: int) -> str:
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode("utf-8"))
