"""Scrapes of running processes."""

import urllib.request
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.integration.server.front import Front
from tests.plugins.triton import RunningTriton

_FLAG = "--metrics-port="


def front_page(front: Front) -> str:
    """Return the front's metrics, in Prometheus's text format."""
    return _page(front.metrics_port)


def triton_page(triton: RunningTriton) -> str:
    """Return Triton's metrics."""
    return _page(triton_metrics_port(triton))


def triton_metrics_port(triton: RunningTriton) -> int:
    """Return the port of Triton's metrics."""
    command = Path(f"/proc/{triton.process.pid}/cmdline").read_text("utf-8").split("\0")
    port = next(word.removeprefix(_FLAG) for word in command if word.startswith(_FLAG))
    return int(port)


def samples(front: Front) -> list[Sample]:
    """Return all samples of a scrape."""
    families = text_string_to_metric_families(front_page(front))
    return [sample for family in families for sample in family.samples]


def total(scraped: Sequence[Sample], name: str, **labels: str) -> float:
    """Return the sum of a name's samples with these labels."""
    return sum(
        sample.value
        for sample in scraped
        if sample.name == f"tidemill_{name}" and labels.items() <= sample.labels.items()
    )


def in_flight(front: Front, *methods: str) -> list[float]:
    """Return the calls in flight, by method."""
    now = samples(front)
    return [total(now, "in_flight_requests", method=method) for method in methods]


def _page(port: int) -> str:
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode("utf-8"))
