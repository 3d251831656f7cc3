"""Triton's own counters."""

import http.server
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.plugins.proxy import proxied
from tidemill_core.loopback import keep_loopback_direct
from tidemill_jobs.monitoring.triton_metrics import pages, read_counters, since

PAGE = b"""# TYPE nv_inference_request_success counter
nv_inference_request_success{model="support-onnx",version="3"} 100
nv_inference_request_success{model="support-onnx",version="2"} 7
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="support-onnx",reason="BACKEND",version="3"} 2
nv_inference_request_failure{model="support-onnx",reason="OTHER",version="3"} 1
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{model="support-onnx",version="3"} 50000
# TYPE nv_inference_compute_infer_duration_us counter
nv_inference_compute_infer_duration_us{model="support-onnx",version="3"} 200000
"""


@pytest.fixture
def triton_metrics() -> Iterator[str]:
    """Serve a page of Triton's metrics and return its URL."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


def test_the_counters_are_those_of_one_version(triton_metrics: str) -> None:
    """All reasons of failures count together; a Triton that cannot be asked has no counters."""
    urls = [triton_metrics, "http://127.0.0.1:9/metrics"]
    counters = read_counters(urls, "support-onnx", 3)
    assert counters.keys() == {triton_metrics}
    assert counters[triton_metrics] == {
        "success_count": 100,
        "failure_count": 3,
        "queue_us": 50_000,
        "compute_us": 200_000,
    }


def test_the_metrics_of_a_triton_on_this_machine_are_read_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also at ::1, which urllib does not find in `no_proxy`."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    class OnIpv6(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    try:
        server = OnIpv6(("::1", 0), Page)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server, proxied(monkeypatch) as proxy:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("no_proxy", "lake.example")
        keep_loopback_direct()
        url = f"http://[::1]:{server.server_port}/metrics"
        assert list(read_counters([url], "any", 1)) == [url]
        assert proxy.connections == 0
        server.shutdown()


def test_the_figures_are_those_since_the_last_counters() -> None:
    """After a restart of Triton all of its counts are new."""
    before = {"success_count": 100.0, "failure_count": 3.0, "queue_us": 1e5, "compute_us": 2e5}
    now = {"success_count": 150.0, "failure_count": 3.0, "queue_us": 2e5, "compute_us": 6e5}
    expected = {"triton_failure_count": 0.0, "triton_queue_ms": 2.0, "triton_compute_ms": 8.0}
    assert since({"a": before}, {"a": now}) == expected
    assert since({"a": now}, {"a": before})["triton_failure_count"] == 3.0
    assert since({}, {}) == {"triton_failure_count": 0.0}


def test_the_figures_of_two_tritons_add_up() -> None:
    """Of two Tritons, one has restarted since; one that does not answer now counts nothing."""
    before = {"success_count": 100.0, "failure_count": 3.0, "queue_us": 1e5, "compute_us": 2e5}
    later = {"success_count": 140.0, "failure_count": 4.0, "queue_us": 2e5, "compute_us": 6e5}
    again = {"success_count": 10.0, "failure_count": 1.0, "queue_us": 1e5, "compute_us": 1e5}
    found = since({"a": before, "b": before, "c": before}, {"a": later, "b": again})
    assert found == {
        "triton_failure_count": 2.0,
        "triton_queue_ms": 4.0,
        "triton_compute_ms": 10.0,
    }


def test_a_dns_target_has_a_metrics_url_for_each_address() -> None:
    """With a list of Tritons, the URLs are those that are listed; with DNS, of each address."""
    urls = "http://localhost:8002/metrics"
    assert "http://127.0.0.1:8002/metrics" in pages("dns:///localhost:8001", urls)
    assert pages("a:8001,b:8001", f"{urls}, http://b/m") == [urls, "http://b/m"]
    assert pages("a:8001", "") == []
