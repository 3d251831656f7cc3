"""Triton's own counters."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from tidemill_jobs.monitoring.triton_metrics import read_counters, since

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
    counters = read_counters(triton_metrics, "support-onnx", 3)
    assert counters == {
        "success_count": 100,
        "failure_count": 3,
        "queue_us": 50_000,
        "compute_us": 200_000,
    }
    assert read_counters("", "support-onnx", 3) is None
    assert read_counters("http://127.0.0.1:9/metrics", "support-onnx", 3) is None


def test_the_figures_are_those_since_the_last_counters() -> None:
    """After a restart of Triton all of its counts are new."""
    before = {"success_count": 100.0, "failure_count": 3.0, "queue_us": 1e5, "compute_us": 2e5}
    now = {"success_count": 150.0, "failure_count": 3.0, "queue_us": 2e5, "compute_us": 6e5}
    assert since(before, now) == {
        "triton_failure_count": 0.0,
        "triton_queue_ms": 2.0,
        "triton_compute_ms": 8.0,
    }
    assert since(now, before)["triton_failure_count"] == 3.0
    assert since(None, {}) == {"triton_failure_count": 0.0}
