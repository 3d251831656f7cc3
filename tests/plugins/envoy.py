"""A real Envoy with the configuration that Tidemill ships, before fronts of a test."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.plugins.triton import free_ports
from tests.plugins.waiting import wait_until

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "envoy" / "envoy.yaml"
_ENVOY = Path(sys.executable).with_name("envoy")
_OPTIONS = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "error")


@dataclass(frozen=True)
class Envoy:
    """A running Envoy.

    Attributes:
        grpc: host:port of its gRPC listener.
        http: URL of its HTTP listener.
        admin: URL of its statistics.
    """

    grpc: str
    http: str
    admin: str

    def healthy(self, cluster: str) -> int:
        """Return how many fronts of a cluster Envoy finds healthy."""
        return self.count(f"cluster.{cluster}.membership_healthy")

    def count(self, name: str) -> int:
        """Return one of its statistics."""
        page = httpx.get(f"{self.admin}/stats", params={"filter": f"^{name}$"}).text
        return int(page.rpartition(":")[2] or 0)


@contextlib.contextmanager
def running_envoy(
    folder: Path,
    grpc_ports: Sequence[int],
    http_ports: Sequence[int],
    change: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Iterator[Envoy]:
    """Run the shipped configuration on free ports, before fronts on this machine.

    Args:
        folder: where its file is written.
        grpc_ports: the fronts' ports of gRPC.
        http_ports: the fronts' ports of HTTP.
        change: changes the listeners and clusters first.
    """
    grpc, http, admin = free_ports(3)
    configuration = yaml.safe_load(CONFIGURATION.read_text("utf-8"))
    configuration["admin"]["address"] = _address(admin)
    resources = configuration["static_resources"]
    for listener, port in zip(resources["listeners"], (grpc, http), strict=True):
        listener["address"] = _address(port)
    for cluster, ports in zip(resources["clusters"], (grpc_ports, http_ports), strict=True):
        endpoints = [{"endpoint": {"address": _address(port)}} for port in ports]
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"] = endpoints
    change(resources)
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(configuration))
    process = subprocess.Popen([_ENVOY, "-c", path, *_OPTIONS])
    envoy = Envoy(f"127.0.0.1:{grpc}", f"http://127.0.0.1:{http}", f"http://127.0.0.1:{admin}")
    try:
        wait_until(lambda: _is_up(envoy, len(grpc_ports)), "Envoy finds the fronts")
        yield envoy
    finally:
        process.terminate()
        process.wait(10)


def _is_up(envoy: Envoy, fronts: int) -> bool:
    try:
        return envoy.healthy("grpc") == envoy.healthy("http") == fronts
    except httpx.TransportError:
        return False


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
