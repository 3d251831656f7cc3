"""Calls to this machine without a proxy, and calls to others through it."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.plugins.fake_triton import FakeTriton
from tests.plugins.proxy import proxied
from tidemill_core.errors import TritonUnavailable
from tidemill_core.loopback import keep_loopback_direct
from tidemill_core.triton.client import TritonClient
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.monitoring.triton_metrics import read_counters


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_triton_on_this_machine_is_asked_directly(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs' connection reaches Triton, whatever proxy the environment names."""
    with FakeTriton() as triton, proxied(monkeypatch) as proxy:
        port = triton.address.rpartition(":")[2]
        with TritonControl(f"{host}:{port}", "key") as control:
            control.wait_ready(10.0)
        assert proxy.connections == 0


async def test_the_front_asks_triton_on_this_machine_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The asynchronous connection uses no proxy either."""
    with FakeTriton() as triton, proxied(monkeypatch) as proxy:
        client = TritonClient(triton.address)
        assert await client.model_ready("any", 1)
        await client.close()
        assert proxy.connections == 0


def test_the_metrics_of_a_triton_on_this_machine_are_read_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also at ::1, which urllib does not find in `no_proxy`."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    class OnIpv6(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    try:
        server = OnIpv6(("::1", 0), Page)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server, proxied(monkeypatch) as proxy:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("no_proxy", "lake.example")
        keep_loopback_direct()
        url = f"http://[::1]:{server.server_port}/metrics"
        assert list(read_counters([url], "any", 1)) == [url]
        assert proxy.connections == 0
        server.shutdown()


def test_a_triton_elsewhere_is_reached_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call to another host connects to the proxy."""
    with proxied(monkeypatch) as proxy, TritonControl("triton.invalid:8001", "key") as control:
        with pytest.raises(TritonUnavailable):
            control.wait_ready(0.0)
        assert proxy.connections > 0
